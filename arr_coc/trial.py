"""Try a family that nobody declared on the first prompt, with nothing dropped, before it is trusted."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

import torch
from jaxtyping import Float
from torch import Tensor, nn

from arr_coc.cache import Prefix, cache_in
from arr_coc.cut import Cut
from arr_coc.layout import positions_of
from arr_coc.masks import Masks, padding, types_of
from arr_coc.parts import Parts

INSERTED = 3
"""Columns of padding."""
TRUSTED: WeakSet[nn.Module] = WeakSet()
"""Base models that have passed."""
SCALARS = (bool, int, float, str, type(None))


class Trial:
    """Compares the model with itself, before anything is dropped.

    Once as it is, and once through the path that a pruned prompt takes, with every token kept and some
    columns of padding inserted behind the middle of the prompt. They must change nothing: then the decoder's
    arguments follow the tokens, and a token is known by its position and not by its column.
    """

    def __init__(self, parts: Parts, masks: Masks) -> None:
        self._parts, self._masks = parts, masks
        self.running = False

    def __call__(self, inputs: Mapping[str, Any]) -> None:
        """Raises ValueError if the model cannot be pruned as its family says."""
        past = cache_in(inputs)
        if past is not None and int(past.get_query_offset()):
            raise ValueError(self._no("the first call is no whole prompt, but goes on from a cache"))
        alone = {name: value for name, value in inputs.items() if name not in ("cache", "past_key_values")}
        self.running = True
        try:
            with torch.no_grad():
                plain = self._run(alone)
                try:
                    widened = self._widened(alone)
                except (RuntimeError, TypeError, IndexError, KeyError, AttributeError) as error:
                    raise ValueError(self._no(f"{type(error).__name__}: {error}")) from error
        finally:
            self.running = False
        off = float((widened - plain).norm() / plain.norm())
        # Rounding of many layers; a wrong position or mask changes hidden states by their own size.
        allowed = 1e-3 if plain.dtype == torch.float32 else 5e-2
        if not off <= allowed:
            raise ValueError(
                self._no(f"padding between its tokens changes its hidden states by {off:.1e} of their size")
            )
        TRUSTED.add(self._parts.base)

    def _run(self, inputs: Mapping[str, Any]) -> Float[Tensor, "batch seq dim"]:
        """What the decoder says where there is a token."""
        said: list[Tensor] = []

        def listen(_: Any, args: Any, kwargs: Any, output: Any) -> None:
            said.append(output.last_hidden_state)

        hook = self._parts.decoder.register_forward_hook(listen, with_kwargs=True)
        try:
            self._parts.base(**{**inputs, "use_cache": False})
        finally:
            hook.remove()
        valid = padding(inputs.get("attention_mask"))
        return said[0] if valid is None else said[0] * valid[..., None].to(said[0].device)

    def _widened(self, inputs: Mapping[str, Any]) -> Float[Tensor, "batch seq dim"]:
        cut: Cut | None = None

        def widen(_: Any, args: Any, kwargs: dict[str, Any]) -> Any:
            nonlocal cut
            self._understood(kwargs)
            batch, seq = kwargs["inputs_embeds"].shape[:2]
            valid = padding(inputs.get("attention_mask"))
            valid = torch.ones(batch, seq, dtype=torch.bool) if valid is None else valid
            valid = valid.to(kwargs["inputs_embeds"].device)
            # Recurrent layers skip padding on the left alone.
            at = 0 if self._parts.family.recurrent else (seq + 1) // 2
            column = torch.arange(seq, device=valid.device)
            inserted = column[at : at + 1].expand(INSERTED)
            index = torch.cat([column[:at], inserted, column[at:]]).expand(batch, -1)
            new = torch.zeros_like(index, dtype=torch.bool)
            new[:, at : at + INSERTED] = True
            cut = Cut(index, valid.gather(1, index) & ~new, seq)
            prefix = Prefix(0, cut.real, padded=True)
            wide = cut.arguments(kwargs, positions_of(kwargs), self._parts.family.visual_rows)
            mask = self._masks.over(prefix.mask, prefix, wide, types_of(inputs, cut, prefix))
            return args, wide | {"attention_mask": mask}

        def narrow(_: Any, args: Any, kwargs: Any, output: Any) -> Any:
            assert cut is not None, "the decoder was called"
            output.last_hidden_state = cut.back(output.last_hidden_state)
            return output

        decoder = self._parts.decoder
        hooks = [
            decoder.register_forward_pre_hook(widen, with_kwargs=True),
            decoder.register_forward_hook(narrow, with_kwargs=True),
        ]
        try:
            return self._run(inputs)
        finally:
            for hook in hooks:
                hook.remove()

    def _understood(self, kwargs: Mapping[str, Any]) -> None:
        """Raises ValueError for an argument of the decoder that may not follow the tokens."""
        embeds = kwargs.get("inputs_embeds")
        if embeds is None:
            raise ValueError(self._no("its decoder is not called with inputs_embeds"))
        known = {name for pair in self._parts.family.visual_rows for name in pair}
        known |= {"inputs_embeds", "attention_mask", "position_ids"}
        for name, value in kwargs.items():
            per_token = isinstance(value, Tensor) and (
                value.shape[:2] == embeds.shape[:2] or value.numel() == 1
            )
            if name not in known and not per_token and not isinstance(value, SCALARS):
                raise ValueError(self._no(f"its decoder is given {name!r}, which is not one entry a token"))

    def _no(self, why: str) -> str:
        kind = self._parts.model.config.model_type
        return (
            f"no model family called {kind!r} is declared, and the general one does not fit: {why}. Declare "
            f"it with FAMILIES.add({kind!r}, Family(...)), as the files in arr_coc.adapters do, and check it "
            "with the laws in tests/laws"
        )

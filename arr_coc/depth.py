"""Drop visual tokens between the layers of a decoder: deeper layers see, and cache, fewer of them."""

from dataclasses import replace
from functools import partial
from operator import attrgetter
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from arr_coc.allocation import Allocation, Stage
from arr_coc.attention import TAKES_A_FLOAT_MASK
from arr_coc.cache import Prefix, cache_in, prefix_of
from arr_coc.cut import Cut
from arr_coc.decide import decided, lengths, wait
from arr_coc.descent import Descent
from arr_coc.listen import attention_of, overhear
from arr_coc.narrow import MASK, arguments, mask, named
from arr_coc.parts import Parts
from arr_coc.types import Context

Arguments = dict[str, Any]
HIDDEN = "hidden_states"
INSTEAD = "choose a method that decides before the language model, such as 'efe'"


class Depth:
    """The hooks on the layers of a decoder. They are registered when an allocator first asks for them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._layers = attrgetter(parts.family.layers)(parts.decoder)
        self._hooks: list[Any] = []
        self._run: Descent | None = None

    def begin(
        self,
        context: Context,
        allocation: Allocation,
        cut: Cut,
        before: Prefix | None,
        cached: int,
        past: Any,
    ) -> None:
        """Before a prefill of the decoder, in which the allocation drops `cut` of it at once.

        `before` and `cached`: what the cache `past` holds. Raises ValueError where tokens cannot be dropped
        between layers.
        """
        held = () if before is None else before.deeper
        if allocation.then is None and not held:
            return
        self._possible(past)
        then = self._sound(allocation.then, 0)
        self.register()
        context = replace(context, bias=allocation.bias)
        self._run = Descent(context, allocation.keep, cut, then, held, cached, allocation.bias)

    def finish(self, prefix: Prefix) -> tuple[Prefix, tuple[Allocation, ...]]:
        """After it: what the cache holds now, and what was decided on the way."""
        run, self._run = self._run, None
        if run is None:
            return prefix, ()
        held = run.held if any(run.held) else ()
        tail = prefix.tail if run.tail is None else min(run.tail, prefix.tail)
        return replace(prefix, deeper=held, tail=tail), run.deeper

    def forget(self) -> None:
        """A prefill that began did not end."""
        self._run = None

    def remove(self) -> None:
        """Take the hooks off."""
        while self._hooks:
            self._hooks.pop().remove()

    def register(self) -> None:
        """Put the hooks on, if they are not: a cache that was filled in another block needs them, too."""
        if self._hooks:
            return
        for n, layer in enumerate(self._layers):
            try:
                attention = attrgetter(self._parts.family.attention)(layer)
            except AttributeError as error:
                raise ValueError(
                    f"the family looks for {self._parts.family.attention!r} in a {type(layer).__name__}, "
                    f"but: {error}; correct the Family's path, or {INSTEAD}"
                ) from error
            self._hooks += [
                layer.register_forward_pre_hook(partial(self._enter, n), with_kwargs=True),
                layer.register_forward_hook(self._leave),
                attention.register_forward_pre_hook(partial(self._listen, n), with_kwargs=True),
                attention.register_forward_hook(partial(self._heard, n), with_kwargs=True),
            ]

    def _possible(self, past: Any) -> None:
        config: Any = self._parts.decoder.config
        name, how = type(self._parts.decoder).__name__, config._attn_implementation
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        windows = getattr(config, "layer_types", None) is None and getattr(config, "sliding_window", None)
        if kinds != {"full_attention"} or windows or self._parts.family.recurrent:
            raise ValueError(
                f"tokens cannot be dropped between the layers of this {name}: some of them have a sliding "
                f"window or carry a state, and would count other tokens than the first ones; {INSTEAD}"
            )
        if how not in TAKES_A_FLOAT_MASK:
            raise ValueError(
                f"dropping tokens between layers needs attention that takes a mask a layer, and this {name} "
                f"runs {how!r}: load it with attn_implementation='sdpa' or 'eager', or {INSTEAD}"
            )
        if past is not None and past.is_compileable:
            raise ValueError(
                "a static cache has room for the whole prompt in every layer, and dropping tokens between "
                f"layers would save nothing: leave cache_implementation out, or {INSTEAD}"
            )

    def _enter(
        self, n: int, module: nn.Module, args: tuple[Any, ...], kwargs: Arguments
    ) -> tuple[tuple[Any, ...], Arguments] | None:
        """Before a layer: give it what is left."""
        run = self._run
        given = named(module, args, kwargs)
        if run is None:
            return self._follow(n, given)
        if run.then is not None and run.then.layer == n:
            given[HIDDEN] = self._decide(run, run.then, given[HIDDEN])
        columns = run.columns(n)
        run.held += (columns,)
        if columns is None:
            return (), given
        if "position_embeddings" not in given:
            raise ValueError(
                f"a {type(module).__name__} is not given its position_embeddings, so that they cannot follow "
                f"the tokens that are left: {INSTEAD}"
            )
        narrow = mask(given.get(MASK), run.inner, columns, given[HIDDEN].dtype, self._adds)
        new = given if run.inner is None else arguments(given, run.inner)
        return (), new | {MASK: narrow}

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """After a layer: what it says, in the places of all that the decoder hands on, 0 at what is gone."""
        run = self._run
        if run is None or run.inner is None:
            return None
        if isinstance(output, tuple):
            return (run.inner.back(output[0]), *output[1:])
        return run.inner.back(output)

    def _follow(self, n: int, given: Arguments) -> tuple[tuple[Any, ...], Arguments] | None:
        """A call that drops nothing: a layer's cache may hold fewer columns than its mask has."""
        past = cache_in(given)
        prefix = prefix_of(past)
        held = prefix.deeper[n] if prefix is not None and prefix.deeper else None
        if held is None:
            return None
        seen = given.get(MASK)
        # The first layer has these tokens already.
        total = past.layers[0].get_seq_length() if seen is None else seen.shape[-1]
        narrow = mask(seen, None, held.extended(total), given[HIDDEN].dtype, self._adds)
        return (), given | {MASK: narrow}

    def _decide(
        self, run: Descent, stage: Stage, hidden: Float[Tensor, "batch n dim"]
    ) -> Float[Tensor, "batch n dim"]:
        """Between two layers: ask, and drop. Gives the hidden states, some of which may be merged now."""
        whole = run.outer.back(hidden).to(run.keep.device)
        visual = run.context.visual & run.keep
        context = replace(
            run.context,
            embeds=whole,
            visual=visual,
            text=run.words(stage),
            valid=run.keep,
            picture=run.context.picture.masked_fill(~visual, -1),
            grid=torch.zeros_like(run.context.grid),
            layer=stage.layer,
            attention=run.attention,
            bias=run.bias,
        )
        allocation = decided(stage.decide, context)
        keep = (allocation.keep | ~(visual | context.text)) & run.keep
        kept, alive, tails = lengths(keep, run.keep, context.text)
        took = (allocation.select_ms or 0.0) + run.heard_ms
        run.deeper += (replace(allocation, keep=keep, select_ms=took, then=None),)
        run.then, run.attention, run.heard_ms = self._sound(allocation.then, stage.layer), None, 0.0
        if allocation.embeds is not None:
            merged = torch.where(visual[..., None], allocation.embeds.to(whole.dtype), whole)
            hidden = run.outer.rows(merged).to(hidden.device)
        if kept != alive:
            run.keep, run.tail = keep, min(tails)
            ragged = min(kept) != max(kept)
            run.inner = Cut.of(run.outer.rows(keep) & run.outer.real, max(kept), padded=ragged)
        if allocation.bias is not None:
            run.weigh(allocation.bias)
        return hidden

    def _listen(
        self, n: int, module: nn.Module, args: tuple[Any, ...], kwargs: Arguments
    ) -> tuple[tuple[Any, ...], Arguments] | None:
        """Before the attention of a layer whose words are of interest."""
        return overhear(module, args, kwargs) if self._interested(n) else None

    def _heard(
        self, n: int, module: nn.Module, args: tuple[Any, ...], kwargs: Arguments, output: Any
    ) -> None:
        """After it."""
        run = self._run
        if run is None or run.then is None or not self._interested(n):
            return
        wait(run.keep.device)
        start = perf_counter()
        whole = run.words(run.then)
        # A host sync: how many words the longest question has.
        paid = attention_of(module, kwargs, run.here(whole), int(whole.sum(1).max()))
        run.attention = run.back(paid.transpose(1, 2)).transpose(1, 2).to(run.keep.device)
        wait(run.keep.device)
        run.heard_ms = 1000 * (perf_counter() - start)

    def _interested(self, n: int) -> bool:
        run = self._run
        return run is not None and run.then is not None and run.then.layer == n + 1 and run.then.words != 0

    def _sound(self, then: Stage | None, layer: int) -> Stage | None:
        """Raises ValueError for a layer that does not come next, or not at all."""
        n = len(self._layers)
        if then is not None and not layer < then.layer < n:
            raise ValueError(
                f"Stage.layer must be a layer of the decoder, which has {n}, behind layer {layer} where the "
                f"last decision was made, got {then.layer}: choose one from {layer + 1} to {n - 1}"
            )
        return then

    @property
    def _adds(self) -> bool:
        """Whether this decoder adds its masks to logits."""
        config: Any = self._parts.decoder.config
        return bool(config._attn_implementation == "eager")

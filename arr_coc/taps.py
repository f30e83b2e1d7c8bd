"""Taps on a vision tower: its attention, keys and features, kept for scorers that ask for them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isqrt
from operator import attrgetter
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from arr_coc.family import Family, Tower
from arr_coc.received import over_spans, rotated
from arr_coc.tower import GIVEN, Taps

TAPS = ("attention", "keys", "features", "received", "middle")
"""What a scorer may name in its `needs`, beside `GIVEN`."""
Record = dict[str, Tensor]


class Tapping:
    """The hooks, and what they heard. What belongs to a picture travels on its encoded features.

    `generate` runs the tower long before the decoder, in other calls again and again: so the record is put on
    the tower's output, which becomes the encoded picture, and is read from it when the decoder is called.
    """

    def __init__(self, base: nn.Module, tower: Tower, needs: tuple[str, ...], name: str) -> None:
        self.tower, self.needs, self._name = tower, needs, name
        self._module = attrgetter(tower.module)(base)
        layers = attrgetter(tower.layers)(self._module)
        places = dict.fromkeys(("attention", "keys", "received"), tower.layer)
        places["middle"] = int(tower.middle * len(layers))
        self._attentions = {
            tap: attrgetter(tower.attention)(layers[place]) for tap, place in places.items() if tap in needs
        }
        self._projector = attrgetter(tower.projector)(base)
        self._record: Record = {}
        self._records: list[Record] = []
        self._undo: Int[Tensor, " patches"] | None = None

    def hooks(self) -> Iterator[Any]:
        """Register them; each can be removed."""
        yield self._module.register_forward_pre_hook(self._begin, with_kwargs=True)
        yield self._module.register_forward_hook(self._end)
        if "features" in self.needs:
            yield self._projector.register_forward_pre_hook(self._features, with_kwargs=True)
        for attention in set(self._attentions.values()):
            heard: dict[str, Tensor] = {}
            for name in {self.tower.queries, self.tower.keys}:
                yield attrgetter(name)(attention).register_forward_hook(_listen(heard, name))
            yield attention.register_forward_hook(self._attend(heard), with_kwargs=True)

    def begin(self) -> None:
        """A call of the base model begins: towers that run from here on belong to it."""
        self._records = []

    def of(
        self,
        family: Family,
        config: Any,
        inputs: Mapping[str, Any],
        visual: Bool[Tensor, "batch seq"],
    ) -> Taps:
        """What was heard of the pictures of a call, at the columns of their tokens; 0 elsewhere."""
        encoded = inputs.get("mm_encoder_outputs") or {}
        heard = iter(self._records)
        parts: dict[str, list[Tensor]] = {name: [] for name in self.needs}
        shown = [
            way
            for way in family.modalities
            if any(picture is not None for picture in (inputs.get(way.pixels), encoded.get(way.name)))
        ]
        for way in shown:
            picture = encoded.get(way.name)
            record = next(heard, None) if picture is None else vars(picture).get("taps")
            if record is None or set(self.needs) - set(record):
                raise ValueError(
                    f"these pictures were encoded without the {', '.join(self.needs)} of the tower that the "
                    f"scorer needs: give the pixels, or encode them by encoded(model, inputs, {self.needs})"
                )
            where = visual
            if len(shown) > 1:
                where = visual & (inputs["input_ids"] == getattr(config, way.token_id)).to(visual.device)
            for name in self.needs:
                parts[name].append(_placed(record[name], where, self._name))
        return Taps(**{name: torch.stack(each).sum(0) for name, each in parts.items()})

    def _begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._record, order = {}, self.tower.order
        self._undo = None if order is None else order(module.config, kwargs).argsort()
        self._records.append(self._record)

    def _end(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        output.taps = self._record

    def _features(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        given = (args or tuple(kwargs.values()))[0].detach()
        self._record["features"] = self._pooled(given.reshape(-1, given.shape[-1]))

    def _attend(self, heard: dict[str, Tensor]) -> Any:
        """What the taps of one layer say, once it is known how it attended."""

        def attend(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
            tower = self.tower
            heads = attrgetter(tower.heads)(module)
            queries, keys = heard[tower.queries], heard[tower.keys]
            if tower.queries == tower.keys:
                queries, keys = keys.chunk(3, dim=-1)[:2]
            heard.clear()
            if keys.ndim == 2:
                queries, keys = queries[None], keys[None]
            taps = {tap for tap, attention in self._attentions.items() if attention is module}
            if "keys" in taps:
                own = keys[:, tower.dropped :]
                pooled = self._pooled(own.reshape(-1, own.shape[-1]))
                self._record["keys"] = pooled.view(len(pooled), heads, -1)
            if not taps - {"keys"}:
                return
            q, k = (x.view(*x.shape[:2], heads, -1).transpose(1, 2).float() for x in (queries, keys))
            if kwargs.get("position_embeddings") is not None:
                q, k = (rotated(x, *kwargs["position_embeddings"]) for x in (q, k))
            if "attention" in taps:
                received, looking = over_spans(q[:, :, :1] if tower.cls else q, k, kwargs)
                self._record["attention"] = self._of_tokens(received / looking)
            if "received" in taps:
                received, looking = over_spans(q, k, kwargs)
                self._record["received"] = self._of_tokens(received / looking)
            if "middle" in taps:
                self._record["middle"] = self._of_tokens(over_spans(q, k, kwargs)[0])

        return attend

    def _of_tokens(self, received: Float[Tensor, "pictures patches"]) -> Float[Tensor, " tokens"]:
        return self._pooled(received[:, self.tower.dropped :].reshape(-1, 1))[:, 0]

    def _pooled(self, patches: Float[Tensor, "patches width"]) -> Float[Tensor, "tokens width"]:
        """The mean over the patches that one visual token is made of, in the order of the tokens."""
        unit, side, width = self.tower.unit, self.tower.side, patches.shape[1]
        if side is not None and unit > 1:
            merged = isqrt(unit)
            squares = patches.view(-1, side // merged, merged, side // merged, merged, width)
            patches = squares.transpose(2, 3).reshape(-1, width)
        tokens = patches.view(-1, unit, width).float().mean(1)
        return tokens if self._undo is None else tokens[self._undo]


def tapping(base: nn.Module, family: Family, config: Any, needs: tuple[str, ...]) -> Tapping | None:
    """Hooks for what a scorer needs; None if that is nothing.

    Raises ValueError for a tap that does not exist, or that this family or its vision tower does not have.
    """
    if not needs:
        return None
    if given := [name for name in needs if name in GIVEN]:
        raise ValueError(
            f"the scorer needs {given[0]!r}, which no vision tower says: have the pictures rated, for "
            "example by arr_coc.clip.load_clip(...).rates(pictures, questions), and attach "
            "arr_coc.rated.Rated(allocator, ratings)"
        )
    if unknown := [name for name in needs if name not in TAPS]:
        raise ValueError(f"there is no tap called {unknown[0]!r} on a vision tower. Known: {', '.join(TAPS)}")
    tower = family.taps(config) if family.taps is not None else None
    if tower is None:
        kind = f"{config.model_type!r} with a {config.vision_config.model_type!r} tower"
        raise ValueError(
            f"the scorer needs {', '.join(needs)} of the vision tower, and the family {kind} does not say "
            "where that is: choose a scorer without `needs`, or give its Family a `taps`"
        )
    return Tapping(base, tower, needs, config.model_type)


@contextmanager
def tapped(base: nn.Module, family: Family, config: Any, needs: tuple[str, ...]) -> Iterator[None]:
    """Let the encoded pictures of the block carry what `needs` names."""
    taps = tapping(base, family, config, needs)
    hooks = [] if taps is None else list(taps.hooks())
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _listen(heard: dict[str, Tensor], name: str) -> Any:
    def keep(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        heard[name] = output.detach()

    return keep


def _placed(
    said: Float[Tensor, "tokens *width"], where: Bool[Tensor, "batch seq"], name: str
) -> Float[Tensor, "batch seq *width"]:
    """At the columns where the tokens stand. Beams repeat every row, with all of its pictures."""
    counts = where.sum(1)
    # A host sync, and only where a scorer asked: how often the rows are repeated.
    total = int(counts.sum())
    times = total // len(said) if len(said) else 0
    rows = counts[::times] if times else counts
    if total != times * len(said) or not torch.equal(rows.repeat_interleave(max(times, 1)), counts):
        raise ValueError(
            f"the vision tower spoke of {len(said)} tokens, and {total} stand in the prompt: the taps of the "
            f"family {name!r} do not fit this model"
        )
    first: Tensor = (rows.cumsum(0) - rows).repeat_interleave(max(times, 1))
    index: Tensor = (first[:, None] + where.cumsum(1) - 1).masked_fill(~where, len(said))
    padded = torch.cat([said, torch.zeros_like(said[:1])])
    return padded[index]

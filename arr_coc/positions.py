"""Where kept tokens stand: where they stood, closed up, or in the middle of what they stand for."""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor
from torch.nn.functional import pad

from arr_coc.registry import Registry
from arr_coc.types import Context

Columns = Int[Tensor, "batch seq"]


@dataclass(frozen=True)
class Placed:
    """New rotary positions; None: the original ones."""

    positions: Shaped[Tensor, "axes batch seq"] | None = None
    """Of every token; undefined where one is dropped. Floating where they lie between whole numbers."""
    shift: Int[Tensor, " batch"] | None = None
    """How far what follows the prompt moves towards its beginning; None: not at all."""


class Policy(Protocol):
    """Places the tokens of a prefill."""

    def __call__(self, context: Context, keep: Bool[Tensor, "batch seq"], speaker: Columns | None) -> Placed:
        """`speaker`: column of the kept token that each visual one was merged into, if any, -1 elsewhere."""
        ...


POSITIONS: Registry[Policy] = Registry("position policy")
"""How the rotary positions of what is kept follow from those of the full prompt."""


@POSITIONS.register("original")
def original(context: Context, keep: Bool[Tensor, "batch seq"], speaker: Columns | None) -> Placed:
    """Where they stood in the full prompt: distances between things seen stay what they were."""
    return Placed()


@POSITIONS.register("compact")
def compact(context: Context, keep: Bool[Tensor, "batch seq"], speaker: Columns | None) -> Placed:
    """As if the rest had never been: no gaps, and what follows a picture begins where its kept part ends.

    On every axis the kept tokens of a picture are numbered by the distinct positions that they take there,
    from where it begins: dropped rows, columns and frames close up, also where time was in seconds. Text that
    a model lets begin before the last frame of a film stays as far from the film's beginning as it was.
    """
    visual, positions = context.visual, context.positions
    beside = pad(visual, (1, -1)) & (pad(context.picture, (1, -1), value=-1) == context.picture)
    part = (visual & ~beside).cumsum(1)  # neighbours of one picture; text counts the parts before it
    # A host sync: the number of parts is a shape. Number 0 collects all text.
    n_parts = int(part.max()) + 1
    slot = torch.where(visual, part, 0)
    empty = positions.new_zeros(len(visual), n_parts)
    first, last = positions.amin(0), positions.amax(0)
    low = empty.scatter_reduce(1, slot, first, "amin", include_self=False)
    # Where what follows begins: as the model has it, or after the end where nothing does.
    end = last.masked_fill(~context.valid, 0).amax(1, keepdim=True) + 1
    after = torch.where(pad(context.valid, (-1, 1)), pad(first, (-1, 1)), end)
    ends = visual & ~pad(beside & visual, (-1, 1))
    following = empty.scatter_reduce(1, torch.where(ends, part, 0), after, "amax", include_self=False)
    kept = keep & visual
    rank = _ranked(positions, slot, kept, n_parts)
    reach = torch.where(kept, rank.amax(0), -1)
    length = empty.scatter_reduce(1, slot, reach, "amax", include_self=False) + 1
    there = empty.scatter_add(1, slot, visual.long()) > 0
    saved = torch.where(there, following - low - length, 0).clamp(min=0)
    saved[:, 0] = 0
    before = saved.cumsum(1)
    text = positions - before.gather(1, part)
    picture = (low - before + saved).gather(1, slot) + rank
    return Placed(torch.where(visual, picture, text), before[:, -1])


@POSITIONS.register("centroid")
def centroid(context: Context, keep: Bool[Tensor, "batch seq"], speaker: Columns | None) -> Placed:
    """The mean position of the tokens that were merged into one, per axis; without merging, the original.

    Rotary embeddings are defined for real positions. Where a model's are not (`Context.fractional`), the
    position of the member nearest to the mean, the first of equals.
    """
    if speaker is None:
        return Placed()
    positions = context.positions
    seq = speaker.shape[1]
    member = speaker >= 0
    target = torch.where(member, speaker, seq)  # with a spare column for what speaks for itself or is dropped
    own = pad(positions, (0, 1)).gather(2, target.expand_as(positions))
    offset = torch.where(member, positions - own, 0).float()
    # From the speaker's own position: sums of large numbers would round.
    total = offset.new_zeros(*offset.shape[:2], seq + 1).scatter_add(2, target.expand_as(positions), offset)
    count = offset.new_zeros(len(speaker), seq + 1).scatter_add(1, target, member.float()).clamp(min=1)
    mean = total / count
    if context.fractional:
        return Placed(positions + mean[..., :seq])
    away = (offset - mean.gather(2, target.expand_as(positions))).square().sum(0)
    away = away.masked_fill(~member, torch.inf)
    least = away.new_full((len(speaker), seq + 1), torch.inf).scatter_reduce(1, target, away, "amin")
    nearest = member & (away == least.gather(1, target))
    column = torch.arange(seq, device=speaker.device).expand_as(speaker)
    spare = torch.where(nearest, column, seq)
    first = torch.full_like(count, seq, dtype=torch.long).scatter_reduce(1, target, spare, "amin")[:, :seq]
    first = torch.where(first < seq, first, column)
    return Placed(positions.gather(2, first.expand_as(positions)))


def _ranked(
    positions: Int[Tensor, "axes batch seq"],
    slot: Columns,
    kept: Bool[Tensor, "batch seq"],
    n_slots: int,
) -> Int[Tensor, "axes batch seq"]:
    """How many different positions of kept tokens of a slot are smaller, on each axis; 0 if dropped."""
    axes, batch, _ = positions.shape
    group = (torch.arange(axes * batch, device=slot.device).view(axes, batch, 1)) * n_slots + slot
    kept = kept.expand_as(positions)
    chosen = group[kept]
    key = torch.stack([chosen, positions[kept]], dim=1)
    _, order = torch.unique(key, dim=0, return_inverse=True)  # sorted: by group, then by position
    first = order.new_zeros(axes * batch * n_slots)
    first = first.scatter_reduce(0, chosen, order, "amin", include_self=False)
    return torch.zeros_like(positions).masked_scatter(kept, order - first[chosen])

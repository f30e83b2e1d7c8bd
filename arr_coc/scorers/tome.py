"""Merge the most similar tokens pair by pair until the budget is met (token merging, ToMe)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.diversity import cosines
from arr_coc.ranking import best
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores, Selection


@SCORERS.register("tome")
@dataclass(frozen=True)
class ToMe:
    """Bipartite soft matching: tokens are dealt out in turn to two sides, the r most alike pairs merged.

    Alike are keys, the mean over heads; means are weighed by how many tokens each stands for, which with
    `+ln_n` is the paper's proportional attention. r is the same in every step.
    https://arxiv.org/abs/2210.09461

    The paper takes one step in every block of the tower, which becomes faster; here all steps follow one
    another behind the projector, on the keys of its last layer, which are averaged as the tokens are.
    """

    selector: ClassVar[str] = "own"
    positional: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("keys",)
    steps: int = 24
    """Steps that the surplus is spread over: blocks of a ViT-L. A step at most halves the tokens."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are minus the largest cosine of a key with another: what is like no other is kept."""
        keys = pictures.tap("keys").mean(2)
        itself = torch.eye(keys.shape[1], dtype=torch.bool, device=keys.device)
        alike = cosines(keys, keys).masked_fill(itself | ~pictures.valid[:, None, :], -1.0)
        return Scores(values=-alike.amax(2), chooser=partial(self._choose, pictures))

    def _choose(self, pictures: Pictures, budget: Int[Tensor, " picture"]) -> Selection:
        keep, tokens, keys = pictures.valid, pictures.tokens, pictures.tap("keys").mean(2)
        place = torch.arange(keep.shape[1], device=keep.device).expand_as(keep)
        speaker, size = place.masked_fill(~keep, -1), keep.float()
        counts = pictures.count.tolist()
        for merges in self._plan(counts, budget.tolist()):
            # Who is left, in order, dealt out to the two sides.
            left = keep.byte().argsort(dim=1, descending=True, stable=True)[:, : max(counts)]
            one, other = left[:, 0::2], left[:, 1::2]
            real = keep.gather(1, other)
            alike = cosines(_at(keys, one), _at(keys, other)).masked_fill(~real[:, None, :], -torch.inf)
            closest, nth = alike.max(2)
            gone = best(closest, keep.gather(1, one), torch.tensor(merges, device=keep.device))
            into = gone[..., None] & (nth[..., None] == place[:, None, : other.shape[1]])
            share = (into * size.gather(1, one)[..., None]).transpose(1, 2)  # (picture, other, one)
            before = size.gather(1, other)
            total = before + share.sum(2)
            tokens, keys = (
                _put(
                    x,
                    other,
                    (_at(x, other) * before[..., None] + share @ _at(x, one)) / total.clamp(min=1)[..., None],
                )
                for x in (tokens, keys)
            )
            size = size.scatter(1, one, size.gather(1, one) * ~gone).scatter(1, other, total)
            keep = keep.scatter(1, one, keep.gather(1, one) & ~gone)
            heir = place.scatter(1, one, torch.where(gone, other.gather(1, nth), one))
            speaker = heir.gather(1, speaker.clamp(min=0)).masked_fill(speaker < 0, -1)
            counts = [n - r for n, r in zip(counts, merges, strict=True)]
        return Selection(
            keep=keep, merged=torch.where(keep[..., None], tokens, 0.0), mass=size * keep, speaker=speaker
        )

    def _plan(self, counts: list[int], budgets: list[int]) -> list[list[int]]:
        """Merges of every picture in every step, until all budgets are met."""
        plan: list[list[int]] = []
        surplus = [n - k for n, k in zip(counts, budgets, strict=True)]
        while any(surplus):
            steps = max(1, self.steps - len(plan))
            merges = [min(-(-left // steps), n // 2) for n, left in zip(counts, surplus, strict=True)]
            counts = [n - r for n, r in zip(counts, merges, strict=True)]
            surplus = [left - r for left, r in zip(surplus, merges, strict=True)]
            plan.append(merges)
        return plan


def _at(
    x: Float[Tensor, "picture visual dim"], index: Int[Tensor, "picture some"]
) -> Float[Tensor, "picture some dim"]:
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))


def _put(
    x: Float[Tensor, "picture visual dim"],
    index: Int[Tensor, "picture some"],
    new: Float[Tensor, "picture some dim"],
) -> Float[Tensor, "picture visual dim"]:
    return x.scatter(1, index[..., None].expand_as(new), new)

"""Keep what the vision tower looks at, and of the rest what is left when duplicates are gone (VisPruner)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from arr_coc.diversity import cosines
from arr_coc.ranking import best
from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores, Selection

AT_ONCE = 8
"""Duplicates that go before similarities are looked at again."""


@SCORERS.register("vispruner")
@dataclass(frozen=True)
class VisPruner:
    """Half of the budget by [CLS] attention; the other half by removing duplicates, 8 at a time.

    What remains is dealt out in turn to two sides, as in ToMe, and those of the first side go that are most
    like one of the second: cosines of what the projector is given. Without a class token: the mean attention
    received. https://arxiv.org/abs/2412.01818 (last version)
    """

    selector: ClassVar[str] = "own"
    positional: ClassVar[bool] = True
    source: str | Relevance = "cls"
    """What says how much the tower looks at a token: a name in `RELEVANCE`, or a source of its own."""
    important: float = 0.5
    """Share of the budget by attention."""

    def __post_init__(self) -> None:
        relevance(self.source)
        if not 0.0 <= self.important <= 1.0:
            raise ValueError(f"important must lie in [0, 1], got {self.important}")

    @property
    def needs(self) -> tuple[str, ...]:
        """What is read of the vision tower."""
        return (*relevance(self.source).needs, "features")

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the attention."""
        attention = relevance(self.source)(pictures)
        return Scores(values=attention, chooser=partial(self._choose, pictures, attention))

    def _choose(
        self, pictures: Pictures, attention: Float[Tensor, "picture visual"], budget: Int[Tensor, " picture"]
    ) -> Selection:
        important = best(attention, pictures.valid, (self.important * budget).long())
        features = pictures.tap("features")
        wanted = budget - important.sum(1)
        diverse = without_duplicates(cosines(features, features), pictures.valid & ~important, wanted)
        return Selection(keep=important | diverse)


def without_duplicates(
    alike: Float[Tensor, "picture visual visual"],
    among: Bool[Tensor, "picture visual"],
    wanted: Int[Tensor, " picture"],
) -> Bool[Tensor, "picture visual"]:
    """What remains when the most alike have gone, until there are as many as wanted."""
    # The one host sync: how often the loop goes round.
    left = (among.sum(1) - wanted).tolist()
    for _ in range(_rounds(among.sum(1).tolist(), left)):
        one, other = dealt(among)
        closest = alike.masked_fill(~other[:, None, :], -torch.inf).amax(2)
        gone = (among.sum(1) - wanted).clamp(max=AT_ONCE)
        among = among & ~best(closest, one, gone)
    return among


def dealt(
    among: Bool[Tensor, "picture visual"],
) -> tuple[Bool[Tensor, "picture visual"], Bool[Tensor, "picture visual"]]:
    """The tokens in turn to two sides, the first to the first; one token alone is of both."""
    first = among & ((among.cumsum(1) - 1) % 2 == 0)
    return first, torch.where(among.sum(1, keepdim=True) > 1, among & ~first, among)


def _rounds(counts: list[int], left: list[int]) -> int:
    """So many until the last picture has what is wanted; no round takes more than its first side has."""
    rounds = 0
    while any(left):
        taken = [min(AT_ONCE, (n + 1) // 2, surplus) for n, surplus in zip(counts, left, strict=True)]
        counts = [n - t for n, t in zip(counts, taken, strict=True)]
        left = [surplus - t for surplus, t in zip(left, taken, strict=True)]
        rounds += 1
    return rounds

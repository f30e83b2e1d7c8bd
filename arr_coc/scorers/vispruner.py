"""Keep what the vision tower looks at, and of the rest what is left when duplicates are gone (VisPruner)."""

from collections.abc import Iterator
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
    # The one host sync: how many there are before each round.
    left = (among.sum(1) - wanted).tolist()
    for counts in _rounds(among.sum(1).tolist(), left):
        one, other = dealt(among)
        gone = (among.sum(1) - wanted).clamp(max=AT_ONCE)
        among = among & ~best(_closest(alike, one, other, max(counts)), one, gone)
    return among


def _closest(
    alike: Float[Tensor, "picture visual visual"],
    one: Bool[Tensor, "picture visual"],
    other: Bool[Tensor, "picture visual"],
    most: int,
) -> Float[Tensor, "picture visual"]:
    """How like its best of the other side each of one side is; 0 elsewhere. `most`: of both sides together.

    Only what is left is looked at, which is ever less.
    """
    half = (most + 1) // 2
    (rows, _), (columns, there) = (_in_front(side, half) for side in (one, other))
    picture = torch.arange(len(alike), device=alike.device)[:, None, None]
    among = alike[picture, rows[:, :, None], columns[:, None]].masked_fill(~there[:, None], -torch.inf)
    return torch.zeros_like(alike[:, 0]).scatter(1, rows, among.amax(2))


def _in_front(
    side: Bool[Tensor, "picture visual"], most: int
) -> tuple[Int[Tensor, "picture some"], Bool[Tensor, "picture some"]]:
    """Places of the tokens of a side, then of others; and which are of it."""
    places = side.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    return places, side.gather(1, places)


def dealt(
    among: Bool[Tensor, "picture visual"],
) -> tuple[Bool[Tensor, "picture visual"], Bool[Tensor, "picture visual"]]:
    """The tokens in turn to two sides, the first to the first; one token alone is of both."""
    first = among & ((among.cumsum(1) - 1) % 2 == 0)
    return first, torch.where(among.sum(1, keepdim=True) > 1, among & ~first, among)


def _rounds(counts: list[int], left: list[int]) -> Iterator[list[int]]:
    """How many there are before each round, until the last picture has what is wanted.

    No round takes more than its first side has.
    """
    while any(left):
        yield counts
        taken = [min(AT_ONCE, (n + 1) // 2, surplus) for n, surplus in zip(counts, left, strict=True)]
        counts = [n - t for n, t in zip(counts, taken, strict=True)]
        left = [surplus - t for surplus, t in zip(left, taken, strict=True)]

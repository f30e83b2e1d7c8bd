"""Keep the tokens least like a few pivots: duplication, not importance (DART)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from arr_coc.diversity import cosines
from arr_coc.ranking import best, ranks
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores, Selection


@SCORERS.register("dart")
@dataclass(frozen=True)
class Dart:
    """Pivots are the visual tokens and the words of largest L1 norm; each in turn adds those least like it.

    Visual pivots are kept, and what is left of the budget is shared evenly among all pivots, the first ones
    getting what is over; each takes the tokens of lowest cosine that are still there. The released code walks
    through a set in the order of its hash; here visual pivots come first, the longest before the others.

    The paper prunes behind the second layer, by the norms of its keys and the cosines of hidden states; here,
    before the first one, both are of the embeddings. https://arxiv.org/abs/2502.11494
    """

    selector: ClassVar[str] = "own"
    pivots: int = 4
    """Of the picture, and as many of the text."""

    def __post_init__(self) -> None:
        if self.pivots < 1:
            raise ValueError(f"pivots must be at least 1, got {self.pivots}")

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the L1 norms."""
        norms = pictures.tokens.abs().sum(2)
        return Scores(values=norms, chooser=partial(self._choose, pictures, norms))

    def _choose(self, pictures: Pictures, norms: Tensor, budget: Int[Tensor, " picture"]) -> Selection:
        words = torch.where(pictures.asked[..., None], pictures.query, 0.0)
        seen = self._first(norms, pictures.valid)
        heard = self._first(words.abs().sum(2), pictures.asked)
        keep = best(norms, pictures.valid, budget.clamp(max=self.pivots))
        pivots = torch.cat(
            [_rows(pictures.tokens, seen), _rows(words, heard)], dim=1
        )  # (picture, pivot, dim); zero where there is none
        there = torch.cat([_there(pictures.valid, seen), _there(pictures.asked, heard)], dim=1)
        alike = cosines(pivots, pictures.tokens)
        left = budget - keep.sum(1)
        nth, n = there.cumsum(1) - 1, there.sum(1).clamp(min=1)
        # The first ones get what is over: together they add exactly what is left.
        quota = ((left[:, None] + n[:, None] - 1 - nth).div(n[:, None], rounding_mode="floor")) * there
        for pivot in range(there.shape[1]):
            keep = keep | best(-alike[:, pivot], pictures.valid & ~keep, quota[:, pivot])
        return Selection(keep=keep)

    def _first(self, norms: Tensor, real: Tensor) -> Int[Tensor, "picture pivot"]:
        """Places of the largest, in order."""
        return ranks(norms, real).argsort(dim=1)[:, : self.pivots]


def _rows(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))


def _there(real: Tensor, index: Tensor) -> Tensor:
    return real.gather(1, index)

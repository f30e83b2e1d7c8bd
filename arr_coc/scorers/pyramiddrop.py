"""Score by the attention of the last word, again and again on the way through the layers (PyramidDrop)."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Int
from torch import Tensor

from arr_coc.scorers import SCORERS
from arr_coc.steps import Step, after, boundaries, falling, last_word, spans_from
from arr_coc.types import Pictures, Scores

PLACES = (0.25, 0.5, 0.75)
"""The paper's layers 8, 16 and 24 of 32."""


@SCORERS.register("pyramiddrop")
@dataclass(frozen=True)
class PyramidDrop:
    """At a quarter, half and three quarters of the depth the same share of what is left goes on: what the
    last word of the instruction attends to most, the mean over heads.

    The share (one half in the paper) is the one that spends the budget, the mean over layers; below N / 4
    that cannot be met, and single tokens are left. https://arxiv.org/abs/2410.17247
    """

    selector: ClassVar[str] = "top_k"
    words: ClassVar[int | None] = 1
    places: tuple[float, ...] = PLACES
    """Where tokens are dropped, as shares of the depth."""

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are attention weights."""
        return Scores(values=last_word(pictures))

    def step(self, pictures: Pictures, left: Int[Tensor, " picture"], layer: int, layers: int) -> Step:
        """A share of what there is."""
        stages = boundaries(self.places, layers)
        if layer == 0:
            return Step(pictures.count, stages[0])
        return Step(falling(pictures, left, spans_from(layer, stages, layers)), after(layer, stages))

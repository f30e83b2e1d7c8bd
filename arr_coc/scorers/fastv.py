"""Score by the attention of the last word in an early layer of the language model (FastV)."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Int
from torch import Tensor

from arr_coc.scorers import SCORERS
from arr_coc.steps import Step, after, boundaries, evenly, last_word
from arr_coc.types import Pictures, Scores

DEPTH = 2 / 32
"""The paper's layer 2 of 32."""


@SCORERS.register("fastv")
@dataclass(frozen=True)
class FastV:
    """All tokens in the first K layers; from then on those that the last word attended to most in layer K.

    The mean over heads. K is 2 of 32 layers, and 1 in shallow models. The budget is the mean over layers:
    behind K of L layers (L k - K N) / (L - K) tokens are left, and 1 where k < K N / L, which cannot be met.
    The paper's sweeps say instead how many are left. https://arxiv.org/abs/2403.06764
    """

    selector: ClassVar[str] = "top_k"
    words: ClassVar[int | None] = 1
    depth: float = DEPTH
    """K, as a share of all layers."""

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are attention weights."""
        return Scores(values=last_word(pictures))

    def step(self, pictures: Pictures, left: Int[Tensor, " picture"], layer: int, layers: int) -> Step:
        """All, then as many as are left to spend."""
        if layer == 0:
            return Step(pictures.count, after(0, boundaries([self.depth], layers)))
        return Step(evenly(pictures, left, layers - layer))

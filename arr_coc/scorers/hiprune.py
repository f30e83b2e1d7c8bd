"""Keep objects with their surroundings by a middle layer of the tower, the rest by its last (HiPrune)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.neighbours import CROSS, neighbour
from arr_coc.ranking import best
from arr_coc.relevance import Relevance, relevance
from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores, Selection


@SCORERS.register("hiprune")
@dataclass(frozen=True)
class HiPrune:
    """Anchors: most attended in a middle layer. Buffers: the four around each. Registers: most at last.

    Anchors and buffers together are `alpha` of the budget, five tokens an anchor; those that coincide make
    room for registers, and so do buffers where the grid is not known. The middle layer lies at 3/8 of the
    depth, where the paper has it in CLIP (9 of 24), and at 1/2 in Qwen's tower (16 of 32). Attention is what
    all patches pay; in the last layer, what the class token pays where there is one.

    https://arxiv.org/abs/2508.00553
    """

    selector: ClassVar[str] = "own"
    positional: ClassVar[bool] = True
    source: str | Relevance = "cls"
    """What says how much the last layer looks at a token: a name in `RELEVANCE`, or a source of its own."""
    alpha: float = 0.1
    """Share of the budget for anchors and buffers; one anchor at least, unless it is 0."""

    def __post_init__(self) -> None:
        relevance(self.source)
        if not 0.0 <= self.alpha <= 1.0:
            raise ValueError(f"alpha must lie in [0, 1], got {self.alpha}")

    @property
    def needs(self) -> tuple[str, ...]:
        """What is read of the vision tower."""
        return (*relevance(self.source).needs, "middle")

    def __call__(self, pictures: Pictures) -> Scores:
        """`values` are the attention of the last layer."""
        last = relevance(self.source)(pictures)
        return Scores(values=last, chooser=partial(self._choose, pictures, last))

    def _choose(
        self, pictures: Pictures, last: Float[Tensor, "picture visual"], budget: Int[Tensor, " picture"]
    ) -> Selection:
        middle = pictures.tap("middle")
        n_anchors = (self.alpha * budget / (1 + len(CROSS))).round().long().clamp(min=int(self.alpha > 0))
        anchors = best(middle, pictures.valid, torch.minimum(n_anchors, budget))
        around = torch.zeros_like(anchors)
        for down, right in CROSS:
            place, there = neighbour(pictures, down, right)
            around |= there & anchors.gather(1, place)
        buffers = best(middle, around & ~anchors, budget - anchors.sum(1))
        kept = anchors | buffers
        registers = best(last, pictures.valid & ~kept, budget - kept.sum(1))
        return Selection(keep=kept | registers)

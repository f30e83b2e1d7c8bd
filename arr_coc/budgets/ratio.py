"""Keep the same share of every picture."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from arr_coc.budgets import BUDGETS
from arr_coc.types import Pictures, Scores, Spending


@BUDGETS.register("ratio")
@dataclass(frozen=True)
class Ratio:
    """A share of the tokens of each picture, rounded, and one token at least."""

    fixed: ClassVar[bool] = True
    keep_ratio: float
    """Fraction kept, in (0, 1]."""

    def __post_init__(self) -> None:
        if isinstance(self.keep_ratio, bool) or not 0.0 < self.keep_ratio <= 1.0:
            raise ValueError(
                f"keep_ratio must lie in (0, 1], got {self.keep_ratio!r}: "
                "a whole number, such as budget=64, is a count; scorer='blind' keeps none"
            )

    def __call__(self, pictures: Pictures, scores: Scores) -> Spending:
        """max(1, round(keep_ratio n)) of every picture's n tokens."""
        # A host sync: Python rounds in float64, which not every device has.
        kept = [max(1, round(self.keep_ratio * n)) for n in pictures.count.tolist()]
        return Spending(torch.tensor(kept, dtype=torch.long, device=pictures.count.device))

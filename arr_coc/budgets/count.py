"""Keep the same number of tokens of every picture."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from arr_coc.budgets import BUDGETS
from arr_coc.types import Pictures, Scores, Spending


@BUDGETS.register("count")
@dataclass(frozen=True)
class Count:
    """A number of tokens, per picture."""

    fixed: ClassVar[bool] = True
    tokens: int
    """Visual tokens kept of each picture, at least 1."""

    def __post_init__(self) -> None:
        if isinstance(self.tokens, bool) or self.tokens < 1:
            raise ValueError(
                f"a budget must keep at least one token of each picture, got {self.tokens!r}: "
                "write a number from 1 up; scorer='blind' keeps none"
            )

    def __call__(self, pictures: Pictures, scores: Scores) -> Spending:
        """The number, for every picture. Raises ValueError if a picture has fewer tokens."""
        # A host sync: an impossible request must not reach the selector.
        counts = pictures.count.tolist()
        for count, row, nth in zip(counts, pictures.row.tolist(), pictures.nth.tolist(), strict=True):
            if count < self.tokens:
                raise ValueError(
                    f"budget={self.tokens} is more than the {count} visual tokens that picture {nth} of row "
                    f"{row} has: ask for fewer, or for a ratio; budget=1.0 keeps all"
                )
        return Spending(torch.full_like(pictures.count, self.tokens))

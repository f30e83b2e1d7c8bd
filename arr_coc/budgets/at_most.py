"""Keep no more than a number of tokens of every picture, and all where there are fewer."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from arr_coc.budgets import BUDGETS
from arr_coc.types import Pictures, Scores, Spending


@BUDGETS.register("at_most")
@dataclass(frozen=True)
class AtMost:
    """A number of tokens for the pictures of each row."""

    fixed: ClassVar[bool] = True
    tokens: tuple[int, ...]
    """One number a row of the batch, at least 1."""

    def __post_init__(self) -> None:
        if not self.tokens or min(self.tokens) < 1:
            raise ValueError(f"tokens must hold a number from 1 up for every row, got {self.tokens!r}")

    def __call__(self, pictures: Pictures, scores: Scores) -> Spending:
        """The number of the picture's row, or its count. Raises ValueError if there are more rows."""
        if len(pictures.row) and int(pictures.row.max()) >= len(self.tokens):
            raise ValueError(
                f"tokens holds {len(self.tokens)} numbers, and the batch has more rows: one for each"
            )
        most = torch.tensor(self.tokens, device=pictures.row.device)[pictures.row]
        return Spending(torch.minimum(most, pictures.count))

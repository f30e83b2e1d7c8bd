"""Keep as many tokens as stand out: outliers of the scores above the third quartile (PruMerge, TRIM)."""

from dataclasses import dataclass

import torch

from arr_coc.budgets import BUDGETS
from arr_coc.types import Pictures, Scores, Spending


@BUDGETS.register("iqr")
@dataclass(frozen=True)
class Iqr:
    """The number of scores above Q3 + 1.5 (Q3 - Q1), per picture, and one token for the rest.

    https://arxiv.org/abs/2403.15388, of attention; https://arxiv.org/abs/2409.10994, of likeness to the text.
    The released PruMerge takes one number for the whole batch; here every picture has its own.
    """

    whiskers: float = 1.5
    rest: int = 1
    """Tokens beside the outliers: what is merged out of the others."""

    def __call__(self, pictures: Pictures, scores: Scores) -> Spending:
        """One token at least."""
        values = scores.values.float().masked_fill(~pictures.valid, torch.nan)
        if values.shape[1] == 0:
            return Spending(pictures.count)
        first, third = values.nanquantile(torch.tensor([0.25, 0.75], device=values.device), dim=1)
        limit = third + self.whiskers * (third - first)
        outliers = (values > limit[:, None]).sum(1)
        return Spending(torch.minimum((outliers + self.rest).clamp(min=1), pictures.count))

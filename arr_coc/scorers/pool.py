"""Score nothing, average over a coarser grid: the control for methods that merge."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores


@SCORERS.register("pool")
@dataclass(frozen=True)
class Pool:
    """All tokens are equal; the selector of the same name averages them."""

    selector: ClassVar[str] = "pool"
    positional: ClassVar[bool] = True

    def __call__(self, pictures: Pictures) -> Scores:
        """Zeros."""
        return Scores(values=torch.zeros_like(pictures.tokens[..., 0]))

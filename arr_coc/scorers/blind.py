"""Keep no picture at all: what the model knows without looking."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores


@SCORERS.register("blind")
@dataclass(frozen=True)
class Blind:
    """No token is worth keeping; the budget becomes 0, whatever was asked for."""

    selector: ClassVar[str] = "none"

    def __call__(self, pictures: Pictures) -> Scores:
        """Zeros."""
        return Scores(values=torch.zeros_like(pictures.tokens[..., 0]))

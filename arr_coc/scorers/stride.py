"""Score nothing, keep evenly spaced tokens: the control for methods that spread out."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores


@SCORERS.register("stride")
@dataclass(frozen=True)
class Stride:
    """All tokens are equal; the selector of the same name goes by place."""

    selector: ClassVar[str] = "stride"
    positional: ClassVar[bool] = True

    def __call__(self, pictures: Pictures) -> Scores:
        """Zeros."""
        return Scores(values=torch.zeros_like(pictures.tokens[..., 0]))

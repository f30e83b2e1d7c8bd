"""Fewer pixels: the control for methods that select, shown a picture with as little in it."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from arr_coc.scorers import SCORERS
from arr_coc.types import Pictures, Scores


@SCORERS.register("downsample")
@dataclass(frozen=True)
class Downsample:
    """The picture is made smaller before it is processed: by as much as the budget is of its tokens.

    Who shows the picture does that, if the scorer `shrinks`, as `arr-coc eval` does; in a prefill nothing is
    left but to pool what is still above the budget. A tower of one size makes it as large as before,
    and sees it blurred; one of any size makes fewer tokens of it, down to what its processor allows.
    """

    selector: ClassVar[str] = "pool"
    positional: ClassVar[bool] = True
    shrinks: ClassVar[bool] = True

    def __call__(self, pictures: Pictures) -> Scores:
        """Zeros."""
        return Scores(values=torch.zeros_like(pictures.tokens[..., 0]))

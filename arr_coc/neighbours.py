"""The neighbours of a token on the grid of its picture."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from arr_coc.types import Pictures

CROSS = ((-1, 0), (0, -1), (0, 1), (1, 0))
"""Above, left, right, below."""


def neighbour(
    pictures: Pictures, down: int, right: int
) -> tuple[Int[Tensor, "picture visual"], Bool[Tensor, "picture visual"]]:
    """Place of the token so many rows and columns away, in the same frame, and whether there is one.

    Nobody has a neighbour but itself where the grid is unknown.
    """
    _, high, wide = (side[:, None] for side in pictures.grid.unbind(1))
    width = pictures.valid.shape[1]
    place = torch.arange(width, device=high.device).expand_as(pictures.valid)
    row, column = place.div(wide.clamp(min=1), rounding_mode="floor"), place % wide.clamp(min=1)
    row, column = row % high.clamp(min=1) + down, column + right
    there = (row >= 0) & (row < high) & (column >= 0) & (column < wide)
    known = pictures.grid.prod(1) == pictures.count
    there = there & known[:, None] if down or right else pictures.valid
    return (place + down * wide + right).clamp(0, max(width - 1, 0)), there & pictures.valid

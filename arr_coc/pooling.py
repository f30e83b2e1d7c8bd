"""Cut a picture into exactly k cells: a x b rectangles of its grid where k allows it, else runs of tokens."""

from math import log

import torch
from jaxtyping import Bool, Int
from torch import Tensor

TALLEST = 2.0
"""A cell may be at most this many times as tall as wide, or as wide as tall; else the sequence is cut."""


def cells(
    count: Int[Tensor, " picture"], grid: Int[Tensor, "picture 3"], k: Int[Tensor, " picture"], width: int
) -> tuple[Int[Tensor, "picture visual"], Bool[Tensor, "picture visual"]]:
    """Which of the k cells each token lies in, and whether it is the middle of it. Undefined at padding.

    Cells tile the picture (adaptive average pooling without its overlap): their sizes add up to `count`.
    """
    # The one host sync: a factorisation is a search over whole numbers, once a picture.
    facts = torch.cat([count[:, None], grid, k[:, None]], dim=1).tolist()
    plan = torch.tensor([_plan(*fact) for fact in facts], dtype=torch.long, device=k.device).reshape(-1, 4, 1)
    high, wide, down, across = plan.unbind(1)
    place = torch.arange(width, device=k.device)
    row, column = place.div(wide, rounding_mode="floor"), place % wide
    row_cell, row_middle = _cut(row, high, down)
    column_cell, column_middle = _cut(column, wide, across)
    return row_cell * across + column_cell, row_middle & column_middle


def _plan(count: int, time: int, high: int, wide: int, k: int) -> tuple[int, int, int, int]:
    """Height and width to cut, and into how many rows and columns; a sequence is a grid one token wide."""
    along = (count, 1, max(k, 1), 1)
    if time != 1 or high * wide != count:
        return along  # video, or a picture whose grid is not known
    tilings = [(a, k // a) for a in range(1, min(k, high) + 1) if k % a == 0 and k // a <= wide]
    if not tilings:
        return along
    down, across = min(tilings, key=lambda tiling: _stretch(high / tiling[0], wide / tiling[1]))
    if _stretch(high / down, wide / across) > log(TALLEST) + 1e-9:
        return along
    return high, wide, down, across


def _stretch(cell_high: float, cell_wide: float) -> float:
    """How far a cell is from a square, on a logarithmic scale."""
    return abs(log(cell_high / cell_wide))


def _cut(
    place: Int[Tensor, "picture visual"] | Int[Tensor, " visual"],
    length: Int[Tensor, "picture 1"],
    parts: Int[Tensor, "picture 1"],
) -> tuple[Int[Tensor, "picture visual"], Bool[Tensor, "picture visual"]]:
    """Cut a line of `length` into `parts` runs: which run a place lies in, and whether it is its middle."""
    part = (place * parts).div(length, rounding_mode="floor")
    first = (part * length + parts - 1).div(parts, rounding_mode="floor")
    last = ((part + 1) * length - 1).div(parts, rounding_mode="floor")
    return part, place == (first + last).div(2, rounding_mode="floor")

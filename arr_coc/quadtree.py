"""Cut a grid of tokens into squares and halves of them, coarse where little is lost: the best of all cuts.

A square is one cell or two halves, upper and lower or left and right; a half is one cell or its two squares.
The best tree is found from the leaves up, for every number of cells at once (optimal pruning, as of Breiman,
Friedman, Olshen and Stone; the halves are there so that every number can be met). Tokens lie along a Z-shaped
curve, on which squares, quarters and upper and lower halves are runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

UPPER, LOWER, LEFT, RIGHT = range(4)
FIRST, SECOND = [0, 2, 0, 1], [1, 3, 2, 3]
"""Quarters of each half; a part that holds anything holds some of its first."""
Sums = Float[Tensor, "picture cell stats"]
Loss = Callable[[Float[Tensor, "picture part stats"]], Float[Tensor, "picture part"]]
"""What is lost by making one of each part, from its sums of what adds up; not asked of an empty one."""
Curves = Float[Tensor, "picture _part _cells"]
"""The least loss of a part of the picture cut into so many cells; inf where it cannot be."""
Firsts = Int[Tensor, "picture _part _cells"]
"""How many of them lie in the first of its two parts; 0: it is one cell, or nothing."""


@dataclass(frozen=True)
class Level:
    """How the squares of one size are best cut, for every number of cells."""

    halves: Firsts
    """Four of each square."""
    squares: Firsts
    upright: Bool[Tensor, "picture _part _cells"]
    """Whether left and right is the better cut."""


def curve_of(
    count: Int[Tensor, " picture"], grid: Int[Tensor, "picture 3"], width: int
) -> tuple[Int[Tensor, "picture visual"], Bool[Tensor, " picture"], int]:
    """Place of every token on the curve; which pictures are mere lines; and how often squares are quartered.

    Films and pictures without a known grid are lines: runs are halved, wherever they bend on the curve.
    """
    line = (grid[:, 0] != 1) | (grid[:, 1] * grid[:, 2] != count)
    place = torch.arange(width, device=count.device).expand(len(count), -1)
    across = grid[:, 2:].clamp(min=1)
    row, column = place.div(across, rounding_mode="floor"), place % across
    side = torch.where(line, count.double().sqrt().ceil().long(), grid[:, 1:].amax(1))
    # A host sync: the size of the square that holds them all.
    depth = max(int(side.max()) - 1, 0).bit_length() if len(side) else 0
    bent = torch.zeros_like(place)
    for bit in range(depth):
        bent = bent | ((column >> bit & 1) << (2 * bit)) | ((row >> bit & 1) << (2 * bit + 1))
    return torch.where(line[:, None], place, bent), line, depth


def best_cut(
    sums: Sums, there: Bool[Tensor, "picture cell"], line: Bool[Tensor, " picture"],
    budget: Int[Tensor, " picture"], loss: Loss,
) -> Int[Tensor, "picture cell"]:  # fmt: skip
    """The first token of the cell that each token lies in, for exactly `budget` cells of least total loss.

    `sums` of single tokens along the curve, whose length is a power of 4; a token alone loses nothing.
    """
    most = max(int(budget.max()), 1) if len(budget) else 1
    levels: list[Level] = []
    curves = torch.where(torch.stack([there, ~there], dim=2), inf, 0.0)
    while curves.shape[1] > 1:
        there, sums, quarters = _by_four(there), _by_four(sums), _by_four(curves)
        one, other = quarters[:, :, FIRST].flatten(1, 2), quarters[:, :, SECOND].flatten(1, 2)
        known = (there[:, :, FIRST] | there[:, :, SECOND]).flatten(1, 2)
        whole = (sums[:, :, FIRST] + sums[:, :, SECOND]).flatten(1, 2)
        halves, first_of_halves = _as_one(*_joined(one, other, most), known, loss(whole))
        halved = _by_four(halves)
        across, upper = _joined(halved[:, :, UPPER], halved[:, :, LOWER], most)
        along, left = _joined(halved[:, :, LEFT], halved[:, :, RIGHT], most)
        upright = (along < across) & ~line[:, None, None]
        there, sums = there.any(2), sums.sum(2)
        curves = torch.where(upright, along, across)
        curves, firsts = _as_one(curves, torch.where(upright, left, upper), there, loss(sums))
        levels.append(Level(first_of_halves, firsts, upright))
    return _labelled(levels, budget)


def _by_four(x: Tensor) -> Tensor:
    """Squares from their quarters, or with their halves."""
    return x.reshape(len(x), -1, 4, *x.shape[2:])


def _joined(one: Curves, other: Curves, most: int) -> tuple[Curves, Firsts]:
    """Two parts together: the least loss for every number of cells, and how many lie in the first part."""
    n, m = one.shape[2] - 1, other.shape[2] - 1
    cells = min(n + m, most)
    least = one.new_full((*one.shape[:2], cells + 1), inf)
    first = torch.zeros_like(least, dtype=torch.long)
    for k in range(min(n, cells) + 1):
        end = min(k + m, cells) + 1
        tried = one[:, :, k : k + 1] + other[:, :, : end - k]
        better = tried < least[:, :, k:end]
        least[:, :, k:end] = torch.where(better, tried, least[:, :, k:end])
        first[:, :, k:end] = first[:, :, k:end].masked_fill(better, k)
    return least, first


def _as_one(
    curves: Curves, firsts: Firsts, there: Bool[Tensor, "picture part"], loss: Float[Tensor, "picture part"]
) -> tuple[Curves, Firsts]:
    """The same with the part left whole, where it is to be one cell."""
    curves, firsts = curves.clone(), firsts.clone()
    curves[:, :, 1] = torch.where(there, loss, inf)
    firsts[:, :, 1] = 0
    return curves, firsts


def _labelled(levels: list[Level], budget: Int[Tensor, " picture"]) -> Int[Tensor, "picture cell"]:
    """From the whole picture down: what is one cell is marked with its first token; -1 where nothing is."""
    cells = budget[:, None]  # in every square of a size; 0 where it lies in a larger cell, or is empty
    label = torch.full_like(cells, -1)
    for depth in range(len(levels), 0, -1):
        level, size = levels[depth - 1], 4**depth
        start = size * torch.arange(cells.shape[1], device=cells.device)
        first = level.squares.gather(2, cells[..., None])[..., 0]
        upright = level.upright.gather(2, cells[..., None])[..., 0]
        label = torch.where((cells > 0) & (first == 0), start, label)
        parts = torch.stack([first, (cells - first) * (first > 0)], dim=2)
        held = torch.cat([parts.masked_fill(upright[..., None], 0), parts * upright[..., None]], dim=2)
        in_first = level.halves.gather(2, held.flatten(1)[..., None])[..., 0].view_as(held)
        whole = (held > 0) & (in_first == 0)
        in_second = (held - in_first).masked_fill(whole, 0)
        cells, quarters = torch.zeros_like(held), label[..., None].expand_as(held).clone()
        for half, (one, other) in enumerate(zip(FIRST, SECOND, strict=True)):
            cells[:, :, one] += in_first[:, :, half]
            cells[:, :, other] += in_second[:, :, half]
            begins = start + one * (size // 4)
            for quarter in (one, other):
                quarters[:, :, quarter] = torch.where(whole[:, :, half], begins, quarters[:, :, quarter])
        cells, label = cells.flatten(1), quarters.flatten(1)
    return torch.where(cells > 0, torch.arange(cells.shape[1], device=cells.device), label)


def on_curve(
    x: Float[Tensor, "picture visual stats"], place: Int[Tensor, "picture visual"], valid: Tensor, depth: int
) -> Sums:
    """What belongs to the tokens, in their places on the curve; 0 where there is none."""
    length = 4**depth
    where = place.masked_fill(~valid, length)[..., None].expand_as(x)
    return pad(x.new_zeros(len(x), length, x.shape[2]), (0, 0, 0, 1)).scatter(1, where, x)[:, :length]

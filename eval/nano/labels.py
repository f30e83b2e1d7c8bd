"""What every visual token of a picture says, if it is as it should be."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from arr_coc.eval.nano.bodies import Grid
from arr_coc.eval.nano.build import BLANK, LAST
from arr_coc.eval.nano.design import Design
from arr_coc.eval.nano.reading import GLYPH, LONGEST, PITCH, TILE, Page
from arr_coc.eval.nano.scene import CELLS, PLACES, Thing, owners, shares

HALF = 0.35
"""Least part of a letter's width and of its height that a visual token covers to say it."""


@dataclass(frozen=True)
class Said:
    """What the visual tokens of one picture say."""

    words: Int[Tensor, "visual groups"]
    """Group by group the index of the right word, -1 for none."""
    share: Float[Tensor, " visual"]
    """Of a thing's centre."""
    owner: Int[Tensor, " visual"]
    """The thing that a token belongs to; on a page, letter i of word w is LONGEST w + i; -1: none."""


def attributes(design: Design, thing: Thing) -> list[int]:
    """What a thing is like: index of the right word in each group, -1 for none."""
    words = {"color": thing.color, "shape": thing.shape, "size": thing.size, "cell": PLACES[thing.cell]}
    words["character"] = thing.character or BLANK
    return [design.groups[group].index(words[group]) if group in words else -1 for group in design.groups]


def describe(design: Design, things: list[Thing], side: int) -> Said:
    """Of a scene that is shown as side x side visual tokens."""
    owner = owners(things, side)
    said = _ground(design, (side, side))
    for i, thing in enumerate(things):
        said[owner == i] = attributes(design, thing)
    share = shares(things, side)
    if design.confined:
        share *= owner == np.arange(len(things))[:, None, None]
        share /= share.sum((1, 2), keepdims=True).clip(min=1e-3)
    return _said(said, share.sum(0) * (owner >= 0), owner)


def describe_page(design: Design, page: Page, grid: Grid) -> Said:
    """Of a page, in visual tokens of 16 pixels: each says the letter that it covers, and the next one."""
    names = list(design.groups)
    said = _ground(design, grid)
    owner = np.full(grid, -1, np.int64)
    for w, word in enumerate(page.words):
        for i, letter in enumerate(word.letters):
            rows, columns = _covers(word.y, grid[0]), _covers(word.x + i * PITCH, grid[1])
            here = rows[:, None] & columns
            owner[here] = w * LONGEST + i
            following = f"<then {word.letters[i + 1]}>" if i + 1 < len(word.letters) else LAST
            says = {"color": word.color, "character": letter, "next": following}
            for group, said_word in says.items():
                said[here, names.index(group)] = design.groups[group].index(said_word)
            said[here, names.index("first")] = 0 if i == 0 else -1
            said[here, names.index("ground")] = -1
    return _said(said, np.zeros(grid, np.float32), owner)


def _covers(centre: float, n: int) -> np.ndarray:
    """True at those of n visual tokens in a line that cover enough of a letter there."""
    start = np.arange(n) * TILE
    covered = np.minimum(start + TILE, centre + GLYPH / 2) - np.maximum(start, centre - GLYPH / 2)
    return covered >= HALF * GLYPH


def _ground(design: Design, grid: Grid) -> np.ndarray:
    """(rows, columns, groups): nothing but ground, and in which cell."""
    said = np.full((*grid, len(design.groups)), -1, np.int64)
    row, column = (((np.arange(n) + 0.5) / n * CELLS).astype(int) for n in grid)
    said[..., 4] = row[:, None] * CELLS + column
    said[..., 5] = 0
    return said


def _said(words: np.ndarray, share: np.ndarray, owner: np.ndarray) -> Said:
    return Said(
        torch.from_numpy(words).flatten(0, 1),
        torch.from_numpy(share).flatten(),
        torch.from_numpy(owner).flatten(),
    )

"""Made-up prefills: rows of words and pictures, padded on either side."""

import torch
from torch.nn.functional import pad

from arr_coc.tower import Taps
from arr_coc.types import Context

Row = list[int]
"""Lengths of words and pictures in turn: [3, 6, 2] is three words, a picture of six tokens, two words."""
WIDTHS: list[tuple[int, ...]] = [(), (2, 3), (5,), (), (), ()]
"""Of what is said of a token: attention, keys, features, attention received, in the middle, by a CLIP."""


def context(
    rows: list[Row],
    dim: int = 8,
    left: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Context:
    """A prefill; the same row has the same embeddings in any company."""
    seq = max(sum(row) for row in rows)
    most = max(len(row) // 2 for row in rows)
    embeds, picture, valid, grid = [], [], [], []
    taps: list[list[torch.Tensor]] = []
    for row in rows:
        gap = seq - sum(row)
        sides = (gap, 0) if left else (0, gap)
        number = torch.cat([torch.full((n,), i // 2 if i % 2 else -1) for i, n in enumerate(row)])
        draw = torch.Generator().manual_seed(seed + sum(row) + 1000 * len(row))
        embeds.append(pad(torch.randn(sum(row), dim, generator=draw), (0, 0, *sides)))
        picture.append(pad(number, sides, value=-1))
        said = (torch.rand(sum(row), *width, generator=draw) for width in WIDTHS)
        taps.append(
            [
                pad(torch.where(_wide(number >= 0, each), each, 0.0), (*[0, 0] * (each.ndim - 1), *sides))
                for each in said
            ]
        )
        valid.append(pad(torch.ones(sum(row), dtype=torch.bool), sides))
        grid.append([[1, 1, n] for n in row[1::2]] + [[0, 0, 0]] * (most - len(row) // 2))
    where, real = torch.stack(picture), torch.stack(valid)
    return Context(
        embeds=torch.stack(embeds).to(dtype),
        visual=where >= 0,
        text=real & (where < 0),
        valid=real,
        positions=torch.arange(seq).expand(1, len(rows), seq),
        picture=where,
        grid=torch.tensor(grid, dtype=torch.long).reshape(len(rows), most, 3),
        taps=Taps(*(torch.stack(each) for each in zip(*taps, strict=True))),
    )


def _wide(mask: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return mask.view(-1, *[1] * (x.ndim - 1))

"""Where tokens stand: rotary positions, the picture that a visual token belongs to, the grid of a picture."""

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from arr_coc.cache import cache_in
from arr_coc.family import Grids

Layout = tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch pictures 3"]]
"""`Context.picture` and `Context.grid`."""


def positions_of(arguments: Mapping[str, Any]) -> Int[Tensor, "axes batch seq"]:
    """Rotary positions of every token; those that the decoder would count itself if it was given none."""
    given, embeds = arguments.get("position_ids"), arguments["inputs_embeds"]
    if given is None:
        past = cache_in(arguments)
        given = torch.arange(embeds.shape[1], device=embeds.device)[None]
        given = given + (0 if past is None else past.get_seq_length())
    return given.to(embeds.device).reshape(-1, *given.shape[-2:]).expand(-1, len(embeds), -1)


def lay_out(
    visual: Bool[Tensor, "batch seq"], positions: Int[Tensor, "axes batch seq"], grids: Grids | None
) -> Layout:
    """Pictures as the inputs count them, where they do; else every run of adjacent visual tokens is one."""
    counted = None if grids is None else _by_count(visual, grids)
    return counted if counted is not None else _by_runs(visual, positions)


def _by_count(visual: Bool[Tensor, "batch seq"], grids: Grids) -> Layout | None:
    """Deal the pictures out to the rows in reading order; None if they do not fit every row exactly."""
    rows: list[Grids] = []
    left = iter(grids)
    # A host sync: the number of visual tokens of each row says where its last picture ends.
    for count in visual.sum(1).tolist():
        row: Grids = []
        while count > 0 and (grid := next(left, None)) is not None:
            row.append(grid)
            count -= prod(grid)
        if count:
            return None
        rows.append(row)
    if next(left, None) is not None:
        return None
    nth = torch.tensor([n for row in rows for n in range(len(row))], dtype=torch.long)
    tokens = torch.tensor([prod(grid) for grid in grids], dtype=torch.long)
    picture = torch.full(visual.shape, -1, device=visual.device)
    picture = picture.masked_scatter(visual, nth.repeat_interleave(tokens).to(visual.device))
    most = max(map(len, rows), default=0)
    filled = [row + [(0, 0, 0)] * (most - len(row)) for row in rows]
    return picture, torch.tensor(filled, dtype=torch.long, device=visual.device).reshape(len(rows), most, 3)


def _by_runs(visual: Bool[Tensor, "batch seq"], positions: Int[Tensor, "axes batch seq"]) -> Layout:
    """One picture a run. M-RoPE positions tell its grid; with one axis the grid stays unknown."""
    before = torch.nn.functional.pad(visual, (1, -1))
    picture = torch.where(visual, (visual & ~before).cumsum(1) - 1, -1)
    # A host sync: the number of pictures is a shape.
    n_pictures = int(picture.max()) + 1
    if len(positions) != 3:
        return picture, picture.new_zeros(len(picture), n_pictures, 3)
    slot = torch.where(visual, picture, n_pictures)  # text goes to a spare slot
    count = picture.new_zeros(len(picture), n_pictures + 1).scatter_add(1, slot, torch.ones_like(slot))
    empty = positions.new_zeros(3, len(picture), n_pictures + 1)
    slots = slot.expand(3, -1, -1)
    low = empty.scatter_reduce(2, slots, positions, "amin", include_self=False)
    high = empty.scatter_reduce(2, slots, positions, "amax", include_self=False)
    _, height, width = (high - low + 1)[..., :n_pictures]
    count = count[:, :n_pictures]
    # Time is what is left: its positions may be seconds rather than frames.
    time = count // (height * width)
    fits = (time * height * width == count) & (count > 0)
    return picture, torch.stack([time, height, width], dim=-1) * fits[..., None]

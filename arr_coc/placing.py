"""From pictures, one a row, back to their places in the prefill."""

from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from arr_coc.types import Context, Pictures, Selection


def to_pictures(context: Context, pictures: Pictures, x: Tensor | None) -> Any:
    """What belongs to pictures, by row and place in the row; 0 where a row has fewer. None stays None."""
    if x is None:
        return None
    out = x.new_zeros(*context.grid.shape[:2], *x.shape[1:])
    out[pictures.row, pictures.nth] = x
    return out


def to_tokens(
    context: Context, pictures: Pictures, x: Shaped[Tensor, "picture visual"], elsewhere: Any
) -> Shaped[Tensor, "batch seq"]:
    """Numbers of visual tokens, in their places in the sequence."""
    batch, seq = context.visual.shape
    out = x.new_full((batch, seq + 1), elsewhere)  # with a spare column for padding
    out[pictures.row[:, None], _column(pictures, pictures.valid, seq)] = x
    return out[:, :seq]


def columns(
    context: Context, pictures: Pictures, speaker: Int[Tensor, "picture visual"] | None
) -> Int[Tensor, "batch seq"] | None:
    """In columns of the sequence rather than places in the picture."""
    if speaker is None:
        return None
    column = pictures.index.gather(1, speaker.clamp(min=0)).masked_fill(speaker < 0, -1)
    return to_tokens(context, pictures, column, -1)


def replaced(
    context: Context, pictures: Pictures, selection: Selection, merged: Float[Tensor, "picture visual dim"]
) -> Float[Tensor, "batch seq dim"]:
    """The embeddings of the prefill with new ones at the kept tokens, in the model's dtype."""
    seq = context.embeds.shape[1]
    out = torch.nn.functional.pad(context.embeds, (0, 0, 0, 1))  # with a spare column for what is not kept
    out[pictures.row[:, None], _column(pictures, selection.keep, seq)] = merged.to(out.dtype)
    return out[:, :seq]


def _column(
    pictures: Pictures, real: Shaped[Tensor, "picture visual"], spare: int
) -> Int[Tensor, "picture visual"]:
    """Column of each token in the sequence; `spare` for those that are not real."""
    return pictures.index.masked_fill(~real, spare)

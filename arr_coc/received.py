"""Attention that patches get in a layer of a vision tower, from its queries and keys."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

QUERIES = 1024
"""Rows of an attention matrix that are computed at once."""


def over_spans(
    q: Float[Tensor, "pictures heads queries dim"],
    k: Float[Tensor, "pictures heads patches dim"],
    arguments: Mapping[str, Any],
) -> tuple[Float[Tensor, "pictures patches"], Float[Tensor, "#pictures #patches"]]:
    """As `_received`; where several pictures, or windows, stand in one sequence, each by itself."""
    ends = arguments.get("cu_seqlens")
    if ends is None:
        return _received(q, k, arguments.get("attention_mask"))
    lengths = ends.diff().tolist()
    spans = zip(torch.split(q, lengths, 2), torch.split(k, lengths, 2), strict=True)
    received, looking = zip(*(_received(*span, None) for span in spans), strict=True)
    many = [seen.expand_as(each) for seen, each in zip(looking, received, strict=True)]
    return torch.cat(received, dim=1), torch.cat(many, dim=1)


def _received(
    q: Float[Tensor, "pictures heads queries dim"],
    k: Float[Tensor, "pictures heads patches dim"],
    mask: Shaped[Tensor, "..."] | None,
) -> tuple[Float[Tensor, "pictures patches"], Float[Tensor, "#pictures #patches"]]:
    """Attention that each patch gets of all queries together, the mean over heads; and how many see it."""
    total = q.new_zeros(len(q), k.shape[2])
    looking = q.new_full((1, 1), q.shape[2])
    if mask is not None:
        seen = mask if mask.dtype == torch.bool else mask >= 0
        looking = seen[:, 0].sum(1).to(total)
    for start in range(0, q.shape[2], QUERIES):
        rows = slice(start, start + QUERIES)
        scores = q[:, :, rows] @ k.transpose(2, 3) * q.shape[3] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~seen[:, :, rows], -torch.inf)
        total += scores.softmax(-1).mean(1).sum(1)
    return total, looking


def rotated(
    x: Float[Tensor, "pictures heads patches dim"],
    cos: Float[Tensor, "*picture patches dim"],
    sin: Float[Tensor, "*picture patches dim"],
) -> Float[Tensor, "pictures heads patches dim"]:
    """With the rotary embedding that the tower uses, halves against each other."""
    one, two = x.chunk(2, dim=-1)
    rotated: Tensor = x * cos.float() + torch.cat([-two, one], dim=-1) * sin.float()
    return rotated

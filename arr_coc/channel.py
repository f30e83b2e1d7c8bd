"""A log-precision per key for attention kernels that take none: as channels appended to queries and keys."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

PARTS = 3
"""Channels over which a bias is spread: three numbers of bfloat16 have the digits of one of float32."""
WIDEST, STEP = 256, 8
"""Of flash attention's heads: how wide they may be, and in what steps."""


def appended(
    query: Float[Tensor, "batch heads queries dim"],
    key: Float[Tensor, "batch kv_heads keys dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    bias: Float[Tensor, "batch keys"],
    scale: float,
) -> tuple[
    Float[Tensor, "batch heads queries width"],
    Float[Tensor, "batch kv_heads keys width"],
    Float[Tensor, "batch kv_heads keys width"],
]:
    """Queries, keys and values with which any kernel gives softmax(scale q . k + bias) v, and then zeros.

    q' = [q, 1] and k' = [k, bias / scale], so that scale q' . k' = scale q . k + bias (nats): call the kernel
    with the same `scale`, which was that of the narrower heads, and cut what comes out to `value_dim`. Keys
    in a cache stay as they are: the channels belong to a call. Raises ValueError for heads without room.
    """
    dim, value_dim = query.shape[-1], value.shape[-1]
    width = -(-max(dim + PARTS, value_dim) // STEP) * STEP
    if width > WIDEST:
        raise ValueError(
            f"Allocation.bias needs {PARTS} more channels on flash attention, whose heads have at most "
            f"{WIDEST}, and this model's have {dim}: load it with attn_implementation='sdpa' or "
            "'flex_attention', or choose an allocator without bias"
        )
    # A quarter of what the keys can hold: the kernel adds q . k to it.
    most = min(torch.finfo(key.dtype).max, torch.finfo(torch.float).max) / 4
    rest = (bias.float() / scale).clamp(-most, most)
    parts = []
    for _ in range(PARTS):
        parts.append(rest.bfloat16().float())
        rest = rest - parts[-1]
    channels = torch.stack(parts, dim=-1).to(key.dtype)[:, None].expand(-1, key.shape[1], -1, -1)
    key = pad(torch.cat([key, channels], dim=-1), (0, width - dim - PARTS))
    query = pad(pad(query, (0, PARTS), value=1.0), (0, width - dim - PARTS))
    return query, key, pad(value, (0, width - value_dim))

"""Lets a model run on any attention; flash attention by its mathematics, under transformers' own calls."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from transformers import modeling_flash_attention_utils as flash

from arr_coc.adapters.tiny import Tiny

KERNELS = ("eager", "sdpa", "flex_attention", "flash_attention_2")


def whole(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
) -> Tensor:
    """`flash_attn_func`: (batch, seq, heads, dim), no mask, the last query beside the last key."""
    assert q.shape[-1] == k.shape[-1] == v.shape[-1], "the kernel has one width of heads"
    assert q.shape[-1] <= 256, "the kernel has no wider heads"
    assert q.shape[-1] % 8 == 0, "a kernel pads other widths itself; what arr-coc gives it needs none"
    assert dropout_p == 0.0, "not here"
    groups = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(groups, dim=2) for x in (k, v))
    scale = 1 / math.sqrt(q.shape[-1]) if softmax_scale is None else softmax_scale
    logits = scale * torch.einsum("bqhd,bkhd->bhqk", q.float(), k.float())
    ahead = torch.arange(k.shape[1]) - torch.arange(q.shape[1])[:, None] - (k.shape[1] - q.shape[1])
    if causal:
        logits = logits.masked_fill(ahead > 0, -torch.inf)
    if window_size[0] >= 0:
        logits = logits.masked_fill(-ahead > window_size[0], -torch.inf)
    return torch.einsum("bhqk,bkhd->bqhd", logits.softmax(-1), v.float()).to(q.dtype)


def packed(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
) -> Tensor:
    """`flash_attn_varlen_func`: sequences one behind the other, (tokens, heads, dim)."""
    lengths_q, lengths_k = cu_seqlens_q.diff().tolist(), cu_seqlens_k.diff().tolist()
    parts = zip(q.split(lengths_q), k.split(lengths_k), v.split(lengths_k), strict=True)
    each = [whole(*(x[None] for x in part), dropout_p, softmax_scale, causal, window_size) for part in parts]
    return torch.cat([one[0] for one in each])


@contextmanager
def running(tiny: Tiny, how: str) -> Iterator[None]:
    """Let the decoder of a model run on one of `KERNELS`; flex attention without compiling it."""
    parts: Any = flash
    given = (whole, packed, None, parts._pad_input, parts._unpad_input)
    config = tiny.model.config
    with ExitStack() as stack:
        # transformers would not let it run flash on a CPU, nor flex where no one has tried it.
        for each in {id(config): config, id(config.get_text_config()): config.get_text_config()}.values():
            stack.enter_context(mock.patch.object(each, "_attn_implementation_internal", how))
        stack.enter_context(mock.patch.object(flash, "_lazy_imports", return_value=given))
        stack.enter_context(mock.patch.object(flash, "_loaded_implementation", None))
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield

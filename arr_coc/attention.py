"""Precision-weighted attention: a log-precision per key, added to the attention logits of every layer.

softmax(q . k / sqrt(d) + b) with b = ln(precision): with b = ln n a token counts for the n it stands for,
as in proportional attention of https://arxiv.org/abs/2210.09461, equation 1. It travels with the mask: eager
attention and SDPA add a float mask as it is, for flex and flash attention see `arr_coc.weighing`.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from arr_coc.weighing import FLEX, WeighedBlocks, flash_mask, weighs

RECURRENT = ("linear_attention", "conv")
"""Layers whose mask only says what is padding: they carry a state, and have no attention to weigh."""
TAKES_A_FLOAT_MASK = ("eager", "sdpa")

Masks = Any
"""One mask, or one per type of layer, whose keys may be fewer where a window slides: a float tensor
(batch, 1, queries, keys), or what `arr_coc.weighing` reads."""


def precision_masks(
    build: Callable[..., Any],
    config: Any,
    embeds: Float[Tensor, "batch queries _"],
    columns: Bool[Tensor, "batch columns"] | None,
    past: Any,
    bias: Float[Tensor, "batch biased"],
) -> Masks:
    """The model's own masks, with `bias` (nats; 0 for later keys) where they let a key be seen.

    `build` is the model's factory, `create_masks_for_generate`; `columns` says which keys are not padding.
    """
    how = config.get_text_config()._attn_implementation
    if how not in TAKES_A_FLOAT_MASK and not weighs(how):
        raise ValueError(
            f"Allocation.bias needs attention that can be weighed, and this model runs {how!r}: load it with "
            "attn_implementation='sdpa', 'eager', 'flex_attention' or 'flash_attention_2' (or set it before "
            "attaching), or choose an allocator without bias"
        )
    masks = build(config, embeds, columns, past, position_ids=None)
    queries = embeds.shape[1]
    held, keys = 0, queries
    if past is not None:
        # A static cache counts on the device; its masks are built outside of any compiled call.
        held = int(past.get_query_offset())
        keys = past.get_mask_sizes(queries, 0)[0]
    bias = pad(bias, (0, held + queries - bias.shape[1])).to(embeds.device, torch.float)

    def over(width: int) -> Float[Tensor, "batch _"]:
        # A static cache has room to come, a sliding window has only the last keys.
        return pad(bias, (0, max(width - bias.shape[1], 0)))[:, -width:]

    def weigh(mask: Any) -> Any:
        if how == FLEX:
            return WeighedBlocks(mask, over(mask.shape[-1]))
        if how not in TAKES_A_FLOAT_MASK:
            return flash_mask(bias if mask is None else over(mask.shape[1]), mask)
        return _float_mask(mask)

    def _float_mask(mask: Tensor | None) -> Float[Tensor, "batch 1 queries _"]:
        if mask is None:
            # The factory leaves a plainly causal mask to the kernel, which could not take a bias then.
            last = torch.arange(queries, device=embeds.device)[:, None] + held
            seen = (torch.arange(keys, device=embeds.device) <= last)[None, None]
        else:
            seen = mask if mask.dtype == torch.bool else mask >= 0
        lowest = torch.finfo(embeds.dtype).min
        added = over(seen.shape[-1]).to(embeds.dtype).clamp(min=lowest)
        return torch.where(seen, added[:, None, None], lowest)

    if isinstance(masks, dict):
        return {kind: mask if kind in RECURRENT else weigh(mask) for kind, mask in masks.items()}
    return weigh(masks)

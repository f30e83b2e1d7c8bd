"""What stands in for transformers' attention functions while attached, where a float mask does not do.

Flex attention adds the log-precisions to its scores, flash attention by appended channels. Both get them with
the mask, and both leave a call without them to the function they stand in for.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from arr_coc.channel import appended

Attend = Callable[..., tuple[Tensor, Any]]
FLEX = "flex_attention"
_USERS: Counter[str] = Counter()
_THEIRS: dict[str, Attend] = {}


class WeighedBlocks(BlockMask):
    """Flex attention's mask, with a log-precision for every key."""

    def __init__(self, blocks: BlockMask, bias: Float[Tensor, "batch keys"]) -> None:
        vars(self).update(vars(blocks))
        self.blocks = blocks
        self.bias = bias

    def to(self, device: torch.device | str) -> "WeighedBlocks":
        """On another device: a model that is spread over several moves the mask along."""
        return WeighedBlocks(self.blocks.to(device), self.bias.to(device))


def flash_mask(
    bias: Float[Tensor, "batch keys"], real: Bool[Tensor, "batch keys"] | None
) -> Float[Tensor, "batch 1 rows keys"]:
    """Flash attention's mask, with a log-precision for every key: 4-D, so that no model touches it.

    A row of log-precisions and, where there is padding, a second one that is 0 there.
    """
    rows = [bias] if real is None else [bias, real.to(bias.dtype)]
    return torch.stack(rows, dim=1)[:, None]


@contextmanager
def weighing(name: str) -> Iterator[None]:
    """Let the attention function of that name read what `precision_masks` makes, until the block ends."""
    made = _stand_in(name)
    if made is None or name not in ALL_ATTENTION_FUNCTIONS:
        yield
        return
    if not _USERS[name]:
        _THEIRS[name] = ALL_ATTENTION_FUNCTIONS[name]
        ALL_ATTENTION_FUNCTIONS[name] = made(_THEIRS[name])
    _USERS[name] += 1
    try:
        yield
    finally:
        _USERS[name] -= 1
        if not _USERS[name]:
            theirs = _THEIRS.pop(name)
            del ALL_ATTENTION_FUNCTIONS[name]
            if ALL_ATTENTION_FUNCTIONS.get(name) is not theirs:  # it had been put there by the user
                ALL_ATTENTION_FUNCTIONS[name] = theirs


def weighs(name: str) -> bool:
    """Whether an attention function of that name is standing in now."""
    return _USERS[name] > 0


def _stand_in(name: str) -> Callable[[Attend], Attend] | None:
    if name == FLEX:
        return _flex
    return _flash if "flash" in name else None


def _flex(theirs: Attend) -> Attend:
    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **others: Any
    ) -> tuple[Tensor, Any]:
        if isinstance(attention_mask, WeighedBlocks):
            over = attention_mask.bias[:, None, None].expand(-1, query.shape[1], query.shape[2], -1)
            own = others.get("position_bias")
            others["position_bias"] = over if own is None else over + own
            attention_mask = attention_mask.blocks
        return theirs(module, query, key, value, attention_mask, **others)

    return attend


def _flash(theirs: Attend) -> Attend:
    def attend(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        **others: Any,
    ) -> tuple[Tensor, Any]:
        if attention_mask is None or attention_mask.ndim != 4:
            return theirs(module, query, key, value, attention_mask, scaling=scaling, **others)
        if others.get("softcap") is not None:
            raise ValueError(
                "flash attention would cap the bias together with the logits of this model: load it with "
                "attn_implementation='eager' or 'flex_attention', or choose an allocator without bias"
            )
        # A sliding cache has only the last keys, a static one has room for more.
        bias, *real = attention_mask[:, 0, :, -key.shape[2] :].unbind(1)
        key, value = key[:, :, : bias.shape[1]], value[:, :, : bias.shape[1]]
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        padding = real[0] > 0 if real else None
        # Gaps between the positions of kept tokens would be read as ends of packed sequences.
        others = others | {"position_ids": None}
        wide = appended(query, key, value, bias, scale)
        output, weights = theirs(module, *wide, padding, scaling=scale, **others)
        return output[..., : value.shape[-1]], weights

    return attend

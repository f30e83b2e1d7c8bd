"""The call of a decoder for the tokens that are kept: arguments, mask, and what its cache will hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.functional import pad

from arr_coc.allocation import Allocation
from arr_coc.cache import Prefix, cache_in, prefix_of
from arr_coc.cut import Cut
from arr_coc.masks import Masks, types_of
from arr_coc.parts import Parts
from arr_coc.types import Context


@dataclass(frozen=True)
class Given:
    """A call of a decoder that shows pictures, as the model above it makes it."""

    inputs: Mapping[str, Any]
    """What the base model was called with."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    """What the decoder was called with."""
    context: Context
    positions: Int[Tensor, "axes batch seq"]
    """Of four axes the first is no rotary one."""
    attention_mask: Bool[Tensor, "batch columns"] | None
    """The caller's padding mask."""


@dataclass(frozen=True)
class Shortened:
    """The same for the tokens that are kept."""

    kwargs: dict[str, Any]
    cut: Cut
    prefix: Prefix
    """What the cache will hold after it."""

    @property
    def cached(self) -> int:
        """Columns that the cache holds before it."""
        return self.prefix.physical - self.cut.index.shape[1]


def shortened(
    given: Given, allocation: Allocation, longest: int, ragged: bool, parts: Parts, masks: Masks
) -> Shortened:
    """Keep what the allocation keeps, at most `longest` tokens in a row; `ragged`: in some row fewer."""
    kwargs, context, positions = given.kwargs, given.context, given.positions
    if allocation.embeds is not None:
        merged = allocation.embeds.to(context.embeds.dtype)
        kwargs = kwargs | {"inputs_embeds": torch.where(context.visual[..., None], merged, context.embeds)}
    if allocation.positions is not None:
        positions = torch.cat([positions[: len(positions) - len(context.positions)], allocation.positions])
    cut = Cut.of(allocation.keep, longest, ragged)
    prefix = _grown(parts, cache_in(kwargs), cut, ragged, given.attention_mask, allocation)
    new = cut.arguments(kwargs, positions, parts.family.visual_rows)
    # Never None: without a mask and a cache, gaps between positions would be read as packed sequences.
    mask = masks.over(prefix.mask, prefix, new, types_of(given.inputs, cut, prefix))
    return Shortened(new | {"attention_mask": mask}, cut, prefix)


def _grown(
    parts: Parts,
    past: Any,
    cut: Cut,
    ragged: bool,
    attention_mask: Bool[Tensor, "batch columns"] | None,
    allocation: Allocation,
) -> Prefix:
    """What the cache will hold after this prefill."""
    logical = 0 if past is None else int(past.get_seq_length())
    physical = 0 if past is None else int(past.get_query_offset())
    config: Any = parts.decoder.config
    if physical and "flash" in config._attn_implementation:
        raise ValueError(
            "flash attention takes the gaps between kept tokens for the ends of packed sequences and "
            "would not look at what is cached: load the model with attn_implementation='sdpa' to show "
            "pictures in a later turn"
        )
    if physical and ragged and parts.family.recurrent:
        raise ValueError(
            "rows that keep different numbers of tokens in a later turn are padded in the middle, which "
            f"the recurrent layers of {type(parts.decoder).__name__} would not skip: keep the same "
            "number in every row, or give the rows one at a time"
        )
    before = None if attention_mask is None else attention_mask[:, :logical]
    prefix = prefix_of(past) or Prefix(0, cut.real[:, :0], padded=False)
    head = prefix.columns(before, physical)
    head = cut.real.new_ones(len(cut.real), physical) if head is None else head
    bias = None
    if allocation.bias is not None or prefix.bias is not None:
        new = torch.zeros(cut.real.shape, device=cut.real.device)
        if allocation.bias is not None:
            new = cut.rows(allocation.bias).float()
        old = new.new_zeros(len(new), 0) if prefix.bias is None else prefix.bias
        bias = torch.cat([pad(old, (0, physical - old.shape[1])), new], dim=1)
    return Prefix(
        logical=logical + cut.seq,
        mask=torch.cat([head, cut.real], dim=1),
        padded=ragged or prefix.padded or (physical > 0 and before is not None),
        shift=prefix.shift
        if allocation.shift is None
        else allocation.shift + (0 if prefix.shift is None else prefix.shift),
        bias=bias,
    )

"""Attach an allocator to a vision-language model for the length of a `with` block."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakSet

from torch import nn
from transformers.masking_utils import create_masks_for_generate

from arr_coc.allocation import Allocation
from arr_coc.parts import parts_of
from arr_coc.prefill import Allocate, Prefill
from arr_coc.taps import tapping
from arr_coc.weighing import weighing

_ATTACHED: WeakSet[nn.Module] = WeakSet()
_MASKS = "create_masks_for_generate"


@contextmanager
def attached(model: Any, allocate: Allocate) -> Iterator[list[Allocation]]:
    """Let `allocate` decide, in every prefill inside the block, which visual tokens `model` sees.

    `model` is a transformers model, a PEFT model around one, or a pipeline. Yields the trace: one Allocation
    a prefill, the latest last. After the block, also after an exception in it, the model is what it was.

    A key-value cache that was pruned can be gone on with inside such a block only. With `prefill_chunk_size`
    every chunk is a prefill of its own, decided without the words that follow it.
    """
    parts = parts_of(model)
    if parts.base in _ATTACHED:
        raise ValueError(
            f"this {type(parts.model).__name__} has an allocator attached already: leave the first `with` "
            "block before entering another, or attach one function that combines both"
        )
    own: dict[str, Any] = vars(parts.model)
    before: dict[str, Callable[..., Any]] = {_MASKS: own[_MASKS]} if _MASKS in own else {}
    taps = tapping(parts.base, parts.family, parts.model.config, getattr(allocate, "needs", ()))
    prefill = Prefill(parts, allocate, getattr(parts.model, _MASKS, create_masks_for_generate), taps)
    with ExitStack() as stack:
        stack.callback(prefill.depth.remove)
        _ATTACHED.add(parts.base)
        stack.callback(_ATTACHED.discard, parts.base)
        stack.enter_context(weighing(parts.model.config.get_text_config()._attn_implementation))
        for hook in (
            parts.model.register_forward_pre_hook(prefill.guess, with_kwargs=True),
            parts.base.register_forward_pre_hook(prefill.note, with_kwargs=True),
            parts.decoder.register_forward_pre_hook(prefill.shorten, with_kwargs=True),
            parts.first_layer.register_forward_pre_hook(prefill.measure, with_kwargs=True),
            parts.decoder.register_forward_hook(prefill.finish, with_kwargs=True),
            *(taps.hooks() if taps is not None else ()),
        ):
            stack.callback(hook.remove)
        own[_MASKS] = prefill.masks
        stack.callback(own.update, before)
        stack.callback(own.pop, _MASKS)
        yield prefill.trace

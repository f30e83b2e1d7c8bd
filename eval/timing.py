"""Time the prefill of the language model where it happens: from its being called to its answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import nn

from arr_coc.cache import CACHE
from arr_coc.parts import parts_of


@dataclass
class Prefill:
    """What the hooks saw in the first call of the language model with a cache; filled while it runs."""

    ms: float = 0.0
    """From the first thing that happens when it is called, selection included, to its output."""
    kv_bytes: int = 0
    """Bytes of keys and values in the cache right after."""
    _started: float = 0.0


def decoder(model: Any) -> nn.Module:
    """The language model, where `attached` finds it: also of a family that nobody declared.

    Raises ValueError for a model without one and TypeError for what is no transformers model.
    """
    return parts_of(model).decoder


@contextmanager
def timed_prefill(model: Any) -> Iterator[Prefill]:
    """Time the first call of the language model that fills a cache; enter it inside of `attached`.

    Then the hooks here stand outside of those of `attached`: first in, last out.
    """
    seen = Prefill()
    device = next(model.parameters()).device

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        if not seen.ms:
            _synchronise(device)
            seen._started = perf_counter()

    def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        # Without a cache it is no prefill but a trial of a family that nobody declared.
        if not seen.ms and output.get(CACHE) is not None:
            _synchronise(device)
            seen.ms = 1e3 * (perf_counter() - seen._started)
            seen.kv_bytes = _cache_bytes(output[CACHE])

    inner = decoder(model)
    first = inner.register_forward_pre_hook(before, with_kwargs=True, prepend=True)
    last = inner.register_forward_hook(after, with_kwargs=True)
    try:
        yield seen
    finally:
        first.remove()
        last.remove()


def _cache_bytes(cache: Any) -> int:
    # A recurrent layer holds a state of fixed size instead of keys and values.
    held = [getattr(layer, name, None) for layer in cache.layers for name in ("keys", "values")]
    return sum(t.numel() * t.element_size() for t in held if isinstance(t, torch.Tensor))


def _synchronise(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)

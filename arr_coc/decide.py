"""Ask an allocator, by the clock, and refuse what it must not do."""

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import torch
from jaxtyping import Bool
from torch import Tensor

from arr_coc.allocation import Allocation
from arr_coc.types import Context


def decided(allocate: Callable[[Context], Allocation], context: Context) -> Allocation:
    """What it decides, checked, with the milliseconds that it took."""
    wait(context.embeds.device)
    start = perf_counter()
    allocation = allocate(context)
    wait(context.embeds.device)
    took = 1000 * (perf_counter() - start)
    allocation.check(context)
    return replace(allocation, select_ms=took, layer=context.layer)


def lengths(
    keep: Bool[Tensor, "batch seq"], alive: Bool[Tensor, "batch seq"], text: Bool[Tensor, "batch seq"]
) -> tuple[list[int], list[int], list[int]]:
    """For each row: tokens kept, tokens there were, and kept ones at its end, of which nothing was dropped.

    Raises ValueError if a word is dropped.
    """
    tail = keep.flip(1).long().cumprod(1).sum(1)
    # The one host sync of shortening: how long the rows become is a shape.
    found = torch.stack([keep.sum(1), alive.sum(1), (text & ~keep).sum(1), tail])
    kept, real, lost, tails = found.tolist()
    if any(lost):
        raise ValueError(
            f"Allocation.keep drops {sum(lost)} text tokens; only visual tokens may go: "
            "use keep = context.valid & (~context.visual | chosen)"
        )
    return kept, real, tails


def wait(device: torch.device) -> None:
    """Until the device has done what it was asked to do."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)

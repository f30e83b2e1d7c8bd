"""Allocators that glimpse before they decide, simple enough to be seen through."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from arr_coc.allocation import Allocation, Glimpse
from arr_coc.types import Context
from tests.stubs import Some, allocation

Decide = Callable[[Context], Allocation]


FEW, MORE = Some(3), Some(6)


@dataclass(frozen=True)
class Glimpsing:
    """Reads what one allocator keeps, and then keeps what another one says."""

    first: Decide = FEW
    then: Decide = MORE
    until: int = 2
    since: int = 0
    words: int | None = None

    def __call__(self, context: Context) -> Allocation:
        glimpse = Glimpse(self.until, self.then, self.since, self.words)
        return replace(self.first(context), glimpse=glimpse)


def by_attention(context: Context, share: float = 0.3, precision: bool = False) -> Allocation:
    """Keep what the words attended to in the glimpse; of what was not read, what comes first."""
    assert context.attention is not None
    paid = torch.where(context.visual, context.attention.sum(1), -1.0)
    keep = context.valid & ~context.visual
    for nth in range(context.grid.shape[1]):
        member = context.visual & (context.picture == nth)
        order = torch.where(member, paid, -1.0).argsort(dim=1, descending=True, stable=True)
        keep |= member & (order.argsort(dim=1) < (share * member.sum(1, keepdim=True)).ceil())
    bias = torch.where(context.visual, 10 * paid - 1, 0.0) if precision else None
    return allocation(context, keep, bias)


LOOKING = Glimpsing(then=by_attention)
WEIGHED = Glimpsing(Some(3, precision=True, merged=True), partial(by_attention, precision=True))


def heard_by(stub: Glimpsing) -> tuple[Glimpsing, list[Context]]:
    """The same, and what it is shown when it decides."""
    heard: list[Context] = []

    def decide(context: Context) -> Allocation:
        heard.append(context)
        return stub.then(context)

    return replace(stub, then=decide), heard

"""Allocators simple enough to be seen through: the laws hold for any allocator, so these know no scorer."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from arr_coc.allocation import Allocation
from arr_coc.types import Context, Pictures, Scores


def keep_all(context: Context) -> Allocation:
    """Drop nothing."""
    return allocation(context, context.valid)


def blind(context: Context) -> Allocation:
    """Drop every visual token."""
    return allocation(context, context.valid & ~context.visual)


@dataclass(frozen=True)
class Some:
    """Keep some tokens of every picture, drawn by their place in it."""

    at_least: int = 5
    by_question: int = 7
    """Rows with questions of different length keep up to this many more: their budgets differ."""
    precision: bool = False
    """Weigh every kept token with a log-precision between -2 and 1 nats."""
    merged: bool = False
    """Replace every visual embedding by the mean of itself and the next one."""

    def __call__(self, context: Context) -> Allocation:
        batch, seq = context.visual.shape
        drawn = torch.rand(seq, generator=torch.Generator().manual_seed(0))
        budget = self.at_least + 3 * context.text.sum(1) % (self.by_question + 1)
        keep = context.valid & ~context.visual
        luck = torch.zeros(batch, seq)
        for nth in range(context.grid.shape[1]):
            member = context.visual & (context.picture == nth)
            luck = torch.where(member, drawn[(member.cumsum(1) - 1).clamp(min=0)], luck)
            rank = torch.where(member, luck, -1.0).argsort(1, descending=True).argsort(1)
            keep |= member & (rank < budget[:, None])
        bias = torch.where(context.visual, 3 * luck - 2, 0.0) if self.precision else None
        embeds = (context.embeds + context.embeds.roll(-1, dims=1)) / 2 if self.merged else None
        return allocation(context, keep, bias, embeds)


@dataclass(frozen=True)
class ByAttention:
    """Keep what the tower looks at."""

    selector: ClassVar[str] = "top_k"
    needs: ClassVar[tuple[str, ...]] = ("attention",)

    def __call__(self, pictures: Pictures) -> Scores:
        assert pictures.taps is not None
        assert pictures.taps.attention is not None
        assert pictures.taps.keys is None
        return Scores(pictures.taps.attention)


def allocation(
    context: Context, keep: Tensor, bias: Tensor | None = None, embeds: Tensor | None = None
) -> Allocation:
    """The record of a decision."""
    nth = torch.arange(context.grid.shape[1])
    member = context.visual[..., None] & (context.picture[..., None] == nth)  # (batch, seq, pictures)
    return Allocation(
        keep=keep,
        budget=(member & keep[..., None]).sum(1),
        visual=member.sum(1),
        scores=torch.full(keep.shape, float("nan")),
        bias=bias,
        embeds=embeds,
    )

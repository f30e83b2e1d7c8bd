"""Allocators that drop between layers, simple enough to be seen through, and what they must come to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from arr_coc.adapters.tiny import Tiny
from arr_coc.allocation import Allocation, Stage
from arr_coc.parts import parts_of
from arr_coc.types import Context
from tests.runs import Inputs, positions, visual_of
from tests.stubs import allocation


@dataclass(frozen=True)
class Falling:
    """Keep a share of every picture from each of these layers on, drawn by place; rows by their questions."""

    steps: tuple[tuple[int, float], ...] = ((0, 0.8), (1, 0.5), (2, 0.25))
    words: int | None = None
    by_question: int = 5
    """Rows with questions of different length keep different shares."""
    by_attention: bool = False
    """Among what is left, keep what words attend to most, instead of drawing."""
    precision: bool = False
    """Weigh kept tokens, differently from every step on."""
    merged: bool = False
    """Replace every token that is left by the mean of itself and the next one, at every step."""

    def __call__(self, context: Context) -> Allocation:
        return self._at(0, context)

    def _at(self, n: int, context: Context) -> Allocation:
        batch, seq = context.visual.shape
        drawn = torch.rand(seq, generator=torch.Generator().manual_seed(0)).expand(batch, -1)
        keep = context.valid & ~context.visual
        lucks = torch.zeros(batch, seq)
        for nth in range(context.grid.shape[1]):
            member = context.visual & (context.picture == nth)
            luck = drawn.gather(1, (member.cumsum(1) - 1).clamp(min=0))
            if self.by_attention and context.attention is not None:
                luck = context.attention.sum(1)
            lucks = torch.where(member, luck, lucks)
            rank = torch.where(member, luck, -1.0).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
            share = self.steps[n][1] - 0.02 * (context.text.sum(1, keepdim=True) % max(self.by_question, 1))
            share = share if self.steps[n][1] < 1 else torch.ones(batch, 1)
            keep |= member & (rank < (share * member.sum(1, keepdim=True)).ceil())
        then = None
        if n + 1 < len(self.steps):
            then = Stage(self.steps[n + 1][0], partial(self._at, n + 1), self.words)
        bias = torch.where(context.visual, 2 * lucks - 1 + n, 0.0) if self.precision else None
        embeds = (context.embeds + context.embeds.roll(-1, dims=1)) / 2 if self.merged else None
        return Allocation(**{**vars(allocation(context, keep, bias, embeds)), "then": then})


@contextmanager
def hidden_from(tiny: Tiny, decisions: list[Allocation], visual: Tensor) -> Iterator[None]:
    """Every layer of the untouched model is given a mask that hides what it should not see.

    Its own mask, or a causal one where it has none, without what the latest decision dropped, and with its
    bias; where it merged, with what it put there. Tokens after the prompt are seen.
    """
    decoder = parts_of(tiny.model).decoder
    layers = attrgetter(parts_of(tiny.model).family.layers)(decoder)

    def hide(n: int, module: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        hidden = args[0] if args else kwargs["hidden_states"]
        latest = [decision for decision in decisions if decision.layer <= n][-1]
        keep = latest.keep
        seq = hidden.shape[1]
        keep = torch.nn.functional.pad(keep, (0, seq - keep.shape[1]), value=True)
        own = kwargs.get("attention_mask")
        seen = torch.ones(seq, seq, dtype=torch.bool).tril() if own is None else own
        seen = (seen if seen.dtype == torch.bool else seen >= 0) & keep[:, None, None, :]
        seen = seen | torch.eye(seq, dtype=torch.bool)  # what is hidden sees itself, and nobody sees it
        mask = torch.zeros(seen.shape, dtype=hidden.dtype).masked_fill(~seen, torch.finfo(hidden.dtype).min)
        if latest.bias is not None:
            mask = mask + torch.nn.functional.pad(latest.bias, (0, seq - latest.bias.shape[1]))[:, None, None]
        if latest.layer == n and latest.embeds is not None:
            prompt = hidden[:, : latest.embeds.shape[1]]
            merged = torch.where(visual[..., None], latest.embeds, prompt)
            hidden = torch.cat([merged, hidden[:, prompt.shape[1] :]], dim=1)
        return (hidden, *args[1:]), {k: v for k, v in kwargs.items() if k != "hidden_states"} | {
            "attention_mask": mask
        }

    hooks = [
        layer.register_forward_pre_hook(partial(hide, n), with_kwargs=True) for n, layer in enumerate(layers)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def explained(tiny: Tiny, inputs: Inputs, record: Allocation) -> Tensor:
    """Logits of the untouched model, each of whose layers sees what it should."""
    visual = visual_of(tiny, inputs)[:, : record.keep.shape[1]]
    with hidden_from(tiny, [record, *record.deeper], visual):
        logits: Tensor = tiny.model(**inputs | positions(tiny, inputs), use_cache=False).logits
    return logits

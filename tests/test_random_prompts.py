"""Prompts, pictures, budgets and methods drawn at random: no counterexample in 200 cases a family."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from arr_coc.adapters.qwen2_vl import PATCH
from arr_coc.adapters.tiny import END, PICTURE, START, Row, Shown, Tiny
from arr_coc.allocate import Allocator
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.parts import parts_of
from arr_coc.positions import POSITIONS
from arr_coc.scorers import SCORERS
from arr_coc.steps import Deep
from tests.runs import Inputs, apart, decoder_of, positions, tiny_model, visual_of

CASES = 200
CLOSE = 1e-4
METHODS = [
    name
    for name in SCORERS
    if not getattr(SCORERS[name], "mixes_batch", False) and not isinstance(SCORERS[name](), Deep)
]
"""Those that decide between layers have laws of their own, see test_depth and test_steps."""


def of_patches(high: int, wide: int) -> Shown:
    """A picture of high x wide tokens for Qwen's tower, each of four patches."""
    area = 3 * 2 * PATCH * PATCH

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        pixels = torch.randn(4 * high * wide, area, generator=generator)
        return {"pixel_values": pixels, "image_grid_thw": torch.tensor([[1, 2 * high, 2 * wide]])}

    return Shown(draw, (START, *[PICTURE] * (high * wide), END))


def tiles(tiny: Tiny, n: int) -> Shown:
    """A picture of n tiles for InternVL: each is what the family draws once."""
    one = tiny.shown["image"]

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        drawn = [one.draw(generator) for _ in range(n)]
        return {name: torch.cat([each[name] for each in drawn]) for name in drawn[0]}

    return Shown(draw, (START, *[PICTURE] * (n * one.ids.count(PICTURE)), END))


def shapes(family: str, tiny: Tiny) -> dict[str, Shown]:
    """Pictures of every size that the family takes, by name."""
    if family.startswith("qwen"):
        return {f"image {h} {w}": of_patches(h, w) for h in range(1, 5) for w in range(1, 6)}
    if family == "internvl":
        return {f"image {n}": tiles(tiny, n) for n in range(1, 4)}
    return {"image": tiny.shown["image"]}


@dataclass(frozen=True)
class Case:
    rows: tuple[Row, ...]
    side: str
    allocator: Allocator


@st.composite
def cases(draw: Callable[..., Any], names: list[str], smallest: int, methods: list[str]) -> Case:
    """`smallest`: the smallest number of tokens that a picture can have, so that a count is possible."""
    word = st.integers(1, 6)
    rows = []
    for seed in draw(st.lists(st.integers(0, 999), min_size=1, max_size=3, unique=True)):
        parts: list[int | str] = [draw(word)]
        for name in draw(st.lists(st.sampled_from(names), max_size=2)):
            parts += [name, draw(st.integers(0, 4))]
        rows.append(Row(seed, (*parts, draw(word))))
    ratio = st.sampled_from([0.01, 0.11, 0.3, 0.5, 0.77, 1.0])
    scorer = draw(st.sampled_from(methods))
    allocator = Allocator(
        scorer=scorer,
        budget=draw(st.one_of(st.integers(1, smallest), ratio)),
        merge=draw(st.booleans()),
        gate=draw(st.sampled_from([-1.0, 0.0, 0.3])),
        positions=draw(st.sampled_from(list(POSITIONS))),
    )
    return Case(tuple(rows), draw(st.sampled_from(["left", "right"])), allocator)


def whole(tiny: Tiny, inputs: Inputs, allocation: Allocation) -> Tensor:
    """The full model without us: what is dropped is hidden, what is merged or moved is put in by hand."""
    visual = visual_of(tiny, inputs)[..., None]

    def swap(module: Any, args: Any, kwargs: Any) -> Any:
        if allocation.embeds is not None:
            embeds = torch.where(visual, allocation.embeds, kwargs["inputs_embeds"])
            kwargs = kwargs | {"inputs_embeds": embeds}
        return args, kwargs

    at = positions(tiny, inputs)
    if allocation.positions is not None:
        moved = allocation.positions
        at = {"position_ids": moved if len(moved) > 1 else moved[0]}
    hook = decoder_of(tiny).register_forward_pre_hook(swap, with_kwargs=True)
    try:
        logits: Tensor = tiny.model(**inputs | at | {"attention_mask": allocation.keep.long()}).logits
        return logits
    finally:
        hook.remove()


def budgets(case: Case, allocation: Allocation) -> Tensor:
    """How many tokens of each picture should have been kept."""
    wanted = torch.zeros_like(allocation.visual)
    for where in allocation.visual.nonzero().tolist():
        n, asked = int(allocation.visual[tuple(where)]), case.allocator.budget
        assert isinstance(asked, int | float)
        wanted[tuple(where)] = asked if isinstance(asked, int) else max(1, round(asked * n))
    return torch.zeros_like(wanted) if case.allocator.scorer == "blind" else wanted


def hooks(tiny: Tiny) -> list[tuple[int, int, type]]:
    modules = tiny.model.modules()
    return [(len(m._forward_pre_hooks), len(m._forward_hooks), type(m)) for m in modules]


def holds(tiny: Tiny, case: Case) -> None:
    inputs = tiny.inputs(list(case.rows), case.side)
    plain, before = tiny.model(**inputs).logits, hooks(tiny)

    with attached(tiny.model, case.allocator) as trace:
        pruned = tiny.model(**inputs).logits
        alone = [tiny.model(**tiny.inputs([row])).logits[0] for row in case.rows]

    assert hooks(tiny) == before
    assert torch.equal(tiny.model(**inputs).logits, plain)
    if not visual_of(tiny, inputs).any():
        assert trace == []
        assert torch.equal(pruned, plain)
        return
    allocation, singles = trace[0], iter(trace[1:])
    keep, visual, real = allocation.keep, visual_of(tiny, inputs), inputs["attention_mask"].bool()
    assert torch.equal(allocation.budget, budgets(case, allocation))
    assert torch.equal((keep & visual).sum(1), allocation.budget.sum(1))
    assert torch.equal(keep & ~visual, real & ~visual)
    assert allocation.seen == int(keep.sum(1).max())
    assert apart(pruned[keep], whole(tiny, inputs, allocation)[keep]) < CLOSE
    for n, row in enumerate(case.rows):
        shown = any(isinstance(part, str) for part in row.parts)
        kept = next(singles).keep[0] if shown else torch.ones(len(alone[n]), dtype=torch.bool)
        assert torch.equal(keep[n][real[n]], kept)
        assert apart(pruned[n][keep[n]], alone[n][kept]) < CLOSE


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "qwen3_vl", "gemma3", "internvl"])
def test_a_pruned_batch_is_the_whole_model_row_by_row_with_exact_budgets(family: str) -> None:
    plain = tiny_model(family, "sdpa")
    shown = shapes(family, plain)
    tiny = replace(plain, shown=shown)
    assert not parts_of(tiny.model).family.recurrent
    tapped = parts_of(tiny.model).family.taps is not None
    methods = [name for name in METHODS if tapped or not getattr(SCORERS[name], "needs", ())]
    smallest = min(each.ids.count(PICTURE) for each in shown.values())

    @settings(
        max_examples=CASES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(list(shown), smallest, methods))
    @torch.no_grad()
    def every(case: Case) -> None:
        holds(tiny, case)

    every()

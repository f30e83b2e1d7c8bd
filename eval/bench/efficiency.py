"""What pruning saves, measured: first token, later tokens, memory, FLOPs, energy; and from where it pays."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers.generation.streamers import BaseStreamer

import arr_coc.adapters  # noqa: F401  (fills FAMILIES)
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.eval.bench.gauges import gauged
from arr_coc.eval.bench.random_llava import RandomLlava
from arr_coc.eval.environment import environment
from arr_coc.eval.method import FULL, Budget, Method
from arr_coc.eval.timing import timed_prefill

WORDS = 40
SIDES = (56, 84, 112, 168, 224, 336)
"""Of the pictures in the sweep over prompt lengths: 16 to 576 visual tokens."""
BATCHES = (1, 2, 4)
NOTE = (
    "a random LLaVA; ttft: from the call of generate to its first token, vision and selection included; "
    "tpot: between later tokens; medians and 95th percentiles over rounds in which the cases take turns, "
    "after one that warms up, the device synchronised at every token; seen: tokens that the first layer was "
    "given; flops: of vision tower, selection and prefill, counted by torch (matrix products, attention); "
    "peak_bytes: on a CPU of the whole process, model included; joules of one answer; null: nobody tells"
)


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    method: Method
    budget: Budget
    llava: RandomLlava
    batch: int = 1
    words: int = WORDS

    @property
    def name(self) -> str:
        """As in a table."""
        return f"{self.method.name} {self.budget}"


@dataclass(frozen=True)
class Once:
    """One answer of one case."""

    ttft_ms: float
    tpot_ms: list[float]
    select_ms: float
    seen: int
    kv_bytes: int
    peak_bytes: int | None
    joules: float | None


class _Clock(BaseStreamer):
    """Notes when each token arrives; generate() has brought it to the CPU by then."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Tensor) -> None:
        self.times.append(perf_counter())

    def end(self) -> None: ...


def measure(
    methods: Sequence[str],
    budget: Budget = 0.11,
    rounds: int = 5,
    new_tokens: int = 8,
    llava: RandomLlava | None = None,
    batches: Sequence[int] = BATCHES,
    sides: Sequence[int] = SIDES,
    device: str = "cpu",
    say: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """All methods at one size; the first of them, and all tokens, over batch sizes and prompt lengths."""
    llava, ours = llava or RandomLlava(), [Method.parse(name) for name in methods]
    where = torch.device(device)

    def against_full(chosen: Sequence[Method], plan: RandomLlava, batch: int) -> list[dict[str, Any]]:
        settings: list[tuple[Method, Budget]] = [(FULL, 1.0), *((method, budget) for method in chosen)]
        cases = [Case(method, share, plan, batch) for method, share in settings]
        return _rows(cases, rounds, new_tokens, where, say)

    lengths = [row for side in sides for row in against_full(ours[:1], replace(llava, side=side), 1)]
    return {
        **environment(),
        "seed": llava.seed,
        "rounds": rounds,
        "new_tokens": new_tokens,
        "note": NOTE,
        "rows": against_full(ours, llava, 1),
        "batch_sweep": [row for batch in batches for row in against_full(ours[:1], llava, batch)],
        "length_sweep": lengths,
        "break_even": {
            "method": ours[0].name,
            "budget": budget,
            "words": WORDS,
            "prompt_tokens": break_even(
                [row["prompt_tokens"] for row in lengths],
                [row["peer_ms"] - row["ours_ms"] for row in lengths],
            ),
        },
    }


def break_even(lengths: Sequence[int], saved_ms: Sequence[float]) -> float | None:
    """Prompt length from which on pruning saves time, between two that were measured; None if it never does.

    The shortest one that was measured if it saves time there already: what lies below is not known.
    """
    pairs = sorted(zip(lengths, saved_ms, strict=True))
    if pairs[-1][1] <= 0:
        return None
    for (short, lost), (long, gain) in zip(pairs[-2::-1], pairs[:0:-1], strict=True):
        if lost <= 0:
            return float(short + (long - short) * -lost / (gain - lost))
    return float(pairs[0][0])


def _rows(
    cases: Sequence[Case], rounds: int, new_tokens: int, device: torch.device, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The first case is what the others are compared with."""
    llava, batch, words = cases[0].llava, cases[0].batch, cases[0].words
    model = llava.model().to(device)
    inputs = {name: value.to(device) for name, value in llava.inputs(words, batch).items()}
    found: dict[str, list[Once]] = {case.name: [] for case in cases}
    for i in range(rounds + 1):
        for case in cases:
            say(f"{llava.visual} visual tokens, batch {batch}, round {i} of {rounds}: {case.name}")
            once = _once(model, inputs, case, new_tokens, device)
            if i:  # the first round warms up: memory, kernels, caches
                found[case.name].append(once)
    flops = {case.name: _flops(model, inputs, case) for case in cases}
    full = cases[0].name
    size = {"visual": llava.visual, "prompt_tokens": llava.visual + words, "batch": batch}
    return [
        {"case": case.name, **size, **_figures(found[case.name], flops[case.name], "ours_ms", "")}
        | {"peer": full, **_figures(found[full], flops[full], "peer_ms", "peer_")}
        | {"speedup_vs_full": _p50(found[full]) / _p50(found[case.name])}
        for case in cases[1:]
    ]


def _once(model: Any, inputs: dict[str, Tensor], case: Case, new_tokens: int, device: torch.device) -> Once:
    clock = _Clock()
    options = {"do_sample": False, "max_new_tokens": new_tokens, "min_new_tokens": new_tokens}
    hooked = _hooked(model, case)
    with hooked as trace, timed_prefill(model) as prefill, torch.no_grad(), gauged(device) as gauge:
        started = perf_counter()
        model.generate(**dict(inputs), **options, streamer=clock)
    first, *later = clock.times[1:]  # the prompt comes first
    return Once(
        ttft_ms=1e3 * (first - started),
        tpot_ms=[1e3 * (b - a) for a, b in zip([first, *later], later, strict=False)],
        select_ms=(trace[0].select_ms or 0.0) if trace else 0.0,
        seen=(trace[0].seen or 0) if trace else inputs["input_ids"].shape[1],
        kv_bytes=prefill.kv_bytes,
        peak_bytes=gauge.peak_bytes,
        joules=gauge.joules,
    )


def _flops(model: Any, inputs: dict[str, Tensor], case: Case) -> int:
    fast = model.config._attn_implementation
    model.set_attn_implementation("eager")  # torch does not count the fused attention of a CPU
    try:
        with _hooked(model, case), FlopCounterMode(display=False) as counter, torch.no_grad():
            model(**inputs, logits_to_keep=1)
    finally:
        model.set_attn_implementation(fast)
    return int(counter.get_total_flops())


def _hooked(model: Any, case: Case) -> AbstractContextManager[list[Allocation]]:
    allocator = case.method.allocator(case.budget, case.llava.seed)
    return nullcontext([]) if allocator is None else attached(model, allocator)


def _figures(found: list[Once], flops: int, headline: str, prefix: str) -> dict[str, Any]:
    ttft, tpot = [once.ttft_ms for once in found], [ms for once in found for ms in once.tpot_ms]
    peaks = [once.peak_bytes for once in found if once.peak_bytes is not None]
    joules = [once.joules for once in found if once.joules is not None]
    figures = {
        "ttft_p95_ms": float(np.percentile(ttft, 95)),
        "tpot_p50_ms": float(np.median(tpot)),
        "tpot_p95_ms": float(np.percentile(tpot, 95)),
        "select_ms": float(np.median([once.select_ms for once in found])),
        "seen": found[0].seen,
        "kv_bytes": found[0].kv_bytes,
        "peak_bytes": max(peaks) if peaks else None,
        "flops": flops,
        "joules": float(np.median(joules)) if joules else None,
    }
    return {headline: _p50(found)} | {prefix + name: value for name, value in figures.items()}


def _p50(found: list[Once]) -> float:
    return float(np.median([once.ttft_ms for once in found]))

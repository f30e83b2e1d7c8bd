"""How much of the prefill is saved: full, and with a budget, alternating in one run, selection included."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

import arr_coc.adapters  # noqa: F401  (fills FAMILIES)
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.eval.bench.random_llava import VISUAL, RandomLlava
from arr_coc.eval.environment import environment, source_folder
from arr_coc.eval.flops import DecoderShape
from arr_coc.eval.method import FULL, Method
from arr_coc.eval.timing import timed_prefill

WORDS = 40
NOTE = (
    f"{VISUAL} visual and {WORDS} text tokens, batch 1, float32; ms of the language model from its call to "
    "its output, selection included; limit_ms: full prefill times the ratio of FLOPs; model_ms: whole "
    "forward; merging: what switches add to the same method, median of the differences within a round; its "
    "limit_ms is 3 % of the full prefill, share is of that, share_of_pruned of the prefill it is added to"
)
MERGING_LIMIT = 0.03
"""Of the full prefill: what merging and its precision may cost."""


@dataclass(frozen=True)
class Timed:
    """One prefill."""

    prefill_ms: float
    """From the call of the language model to its output, selection included."""
    model_ms: float
    """The whole forward call: vision tower, merging, language model, logits of the last token."""
    select_ms: float
    seen: int
    """Length of the sequence that the first decoder layer was given."""


def place(out: Path | None, name: str = "prefill.json") -> Path:
    """Where the figures go. Raises ValueError if that is not given and this is no source checkout."""
    if out is not None:
        return out
    committed = source_folder()
    if committed is None:
        raise ValueError(f"say where the figures go: --out {name} (only a source checkout has a place)")
    return committed / "bench" / name


def measure(
    methods: Sequence[str],
    budget: int = 64,
    repeats: int = 5,
    layers: int = 22,
    seed: int = 0,
    say: Callable[[str], None] = lambda what: None,
    llava: RandomLlava | None = None,
) -> dict[str, Any]:
    """Rounds of one prefill each of the full model and of every method; medians over the rounds."""
    parsed = [FULL, *(Method.parse(name.strip()) for name in methods)]
    if len(set(parsed)) < len(parsed):
        raise ValueError(f"name each method once, and leave out `full`: got {', '.join(methods)}")
    llava = llava or RandomLlava(layers=layers, seed=seed)
    model, inputs = llava.model(), llava.inputs(WORDS)
    times: dict[str, list[Timed]] = {method.name: [] for method in parsed}
    for i in range(repeats + 1):
        for method in parsed:
            say(f"round {i} of {repeats}: {method.name}")
            timed = _prefill(model, inputs, method, budget, seed)
            if i:  # the first round warms up: memory, kernels, caches
                times[method.name].append(timed)
    shape = DecoderShape.of(model.config)
    parameters = sum(p.numel() for p in model.model.language_model.parameters())
    return {
        **environment(),
        "seed": seed,
        "repeats": repeats,
        "decoder_parameters": parameters,
        "note": NOTE,
        "rows": [_row(method.name, times, shape) for method in parsed[1:]],
        "merging": [
            _over(method.name, plain, times)
            for method in parsed[1:]
            if (plain := replace(method, merge=False, precision=False).name) in times and plain != method.name
        ],
    }


def _prefill(model: Any, inputs: dict[str, Any], method: Method, budget: int, seed: int) -> Timed:
    allocator = method.allocator(budget, seed)
    hooked: AbstractContextManager[list[Allocation]]
    hooked = nullcontext([]) if allocator is None else attached(model, allocator)
    with torch.no_grad(), hooked as trace, timed_prefill(model) as prefill:
        started = perf_counter()
        model(**inputs, use_cache=True, logits_to_keep=1)
        model_ms = 1e3 * (perf_counter() - started)
    select_ms = (trace[-1].select_ms or 0.0) if trace else 0.0
    seen = (trace[-1].seen or 0) if trace else VISUAL + WORDS
    return Timed(prefill.ms, model_ms, select_ms, seen)


def _row(name: str, times: dict[str, list[Timed]], shape: DecoderShape) -> dict[str, Any]:
    full, ours = times[FULL.name], times[name]
    ours_ms, full_ms = median(t.prefill_ms for t in ours), median(t.prefill_ms for t in full)
    flops = shape.prefill_flops(ours[0].seen) / shape.prefill_flops(full[0].seen)
    return {
        "case": f"{name} {ours[0].seen - WORDS} of {VISUAL}",
        "ours_ms": ours_ms,
        "peer": FULL.name,
        "peer_ms": full_ms,
        "speedup_vs_full": full_ms / ours_ms,
        "limit_ms": full_ms * flops,
        "ratio": ours_ms / full_ms,
        "select_ms": median(t.select_ms for t in ours),
        "model_ms": median(t.model_ms for t in ours),
        "peer_model_ms": median(t.model_ms for t in full),
    }


def _over(name: str, plain: str, times: dict[str, list[Timed]]) -> dict[str, Any]:
    """What the switches of a method add to it. Rounds are compared with themselves: the machine drifts."""
    pairs = list(zip(times[name], times[plain], strict=True))
    added = median(ours.prefill_ms - without.prefill_ms for ours, without in pairs)
    full_ms = median(t.prefill_ms for t in times[FULL.name])
    return {
        "case": f"{name} over {plain}",
        "ours_ms": added,
        "select_ms": median(ours.select_ms - without.select_ms for ours, without in pairs),
        "limit_ms": MERGING_LIMIT * full_ms,
        "share": added / full_ms,
        "share_of_pruned": added / median(t.prefill_ms for t in times[plain]),
    }

"""What the hooks themselves cost, with nothing dropped: `python -m arr_coc.eval.bench.hook [PATH]`.

In turns, in one run: the model as it is; attached with everything kept, where the hooks step aside; and
attached with every token on the path of a pruned prompt, as if its embedding had been replaced by itself.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import torch
from torch import nn

import arr_coc.adapters  # noqa: F401  (fills FAMILIES)
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.eval.bench.random_llava import VISUAL, RandomLlava
from arr_coc.eval.environment import environment, source_folder
from arr_coc.parts import parts_of
from arr_coc.types import Context

WORDS, LIMIT = 40, 0.02
NOTE = (
    f"{VISUAL} visual and {WORDS} text tokens, batch 1, float32, one thread; ms of processor time of the "
    "whole forward; hook_ms: of that in the hooks, without the allocator; limit_ms: 2 % of the full model's"
)


def everything(context: Context) -> Allocation:
    """Keep all: the hooks step aside."""
    return _allocation(context)


def through(context: Context) -> Allocation:
    """Keep all, with embeddings in place of the same embeddings: nothing steps aside."""
    return _allocation(context, embeds=context.embeds)


CASES: dict[str, Callable[[Context], Allocation] | None] = {
    "full": None,
    "everything kept": everything,
    "everything kept, through the path of a pruned prompt": through,
}


def _allocation(context: Context, **changes: Any) -> Allocation:
    count = context.visual.sum(1, keepdim=True)
    none = torch.full(context.visual.shape, float("nan"))
    return Allocation(keep=context.valid, budget=count, visual=count, scores=none, **changes)


@contextmanager
def hooks_timed(model: Any, allocate: Callable[[Context], Allocation]) -> Iterator[list[float]]:
    """Attached, with a clock before and behind every hook of arr-coc. Yields processor times in ms."""
    parts = parts_of(model)
    spent: list[float] = []
    deciding: list[float] = []

    def decide(context: Context) -> Allocation:
        started = process_time()
        allocation = allocate(context)
        deciding.append(1e3 * (process_time() - started))
        return allocation

    def start(*_: Any) -> None:
        spent.append(-1e3 * process_time())

    def stop(*_: Any) -> None:
        spent[-1] += 1e3 * process_time()

    before: list[nn.Module] = [parts.base, parts.decoder, parts.first_layer]
    # Hooks run in the order in which they were registered.
    clocks = [module.register_forward_pre_hook(start) for module in before]
    clocks.append(parts.decoder.register_forward_hook(start))
    with attached(model, decide):
        clocks += [module.register_forward_pre_hook(stop) for module in before]
        clocks.append(parts.decoder.register_forward_hook(stop))
        yield spent
    for clock in clocks:
        clock.remove()
    spent.append(-sum(deciding))


def measure(
    rounds: int = 5, layers: int = 22, seed: int = 0, llava: RandomLlava | None = None
) -> dict[str, Any]:
    """Rounds of one prefill each; medians over the rounds, the first of which only warms up."""
    llava = llava or RandomLlava(layers=layers, seed=seed)
    model, inputs = llava.model(), llava.inputs(WORDS)
    total: dict[str, list[float]] = {case: [] for case in CASES}
    hooks: dict[str, list[float]] = {case: [] for case in CASES}
    for i in range(rounds + 1):
        for case, allocate in CASES.items():
            spent: list[float] = []
            watch = nullcontext(spent) if allocate is None else hooks_timed(model, allocate)
            with torch.no_grad(), watch as spent:
                started = process_time()
                model(**inputs, use_cache=True, logits_to_keep=1)
                took = 1e3 * (process_time() - started)
            if i:
                total[case].append(took)
                hooks[case].append(sum(spent))
    full = median(total["full"])
    rows = [
        {
            "case": case,
            "ours_ms": median(total[case]),
            "peer": "full",
            "peer_ms": full,
            "ratio": median(a / b for a, b in zip(total[case], total["full"], strict=True)),
            "hook_ms": median(hooks[case]),
            "hook_ratio": median(hooks[case]) / full,
            "limit_ms": LIMIT * full,
        }
        for case in list(CASES)[1:]
    ]
    parameters = sum(p.numel() for p in model.model.language_model.parameters())
    about = {"seed": seed, "rounds": rounds, "decoder_parameters": parameters, "note": NOTE}
    return {**environment(), **about, "rows": rows}


def main() -> None:
    """Write the figures."""
    committed = source_folder()
    if len(sys.argv) < 2 and committed is None:
        raise SystemExit("say where the figures go: python -m arr_coc.eval.bench.hook hook.json")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 or committed is None else committed / "bench" / "hook.json"
    torch.set_num_threads(1)
    path.write_text(json.dumps(measure(), indent=2) + "\n")


if __name__ == "__main__":
    main()

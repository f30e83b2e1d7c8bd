"""What one pass over the data saves: all methods and budgets together, and each on its own, same answers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter, process_time
from typing import Any

from arr_coc.eval.asking import Asker
from arr_coc.eval.batches import batches
from arr_coc.eval.config import RunConfig
from arr_coc.eval.environment import environment
from arr_coc.eval.models import Loaded, load
from arr_coc.eval.samples import Key, Sample
from arr_coc.eval.smaller import Setting

METHODS, BUDGETS = ("efe", "divprune", "random", "stride"), (0.33, 0.22, 0.11, 0.05, 0.02)
NOTE = (
    "from drawing the first picture to the last answer; a separate pass is what `arr-coc eval` does with one "
    "method and one budget, the two references included; without_references leaves them out on both "
    "sides; cpu_s: processor time"
)


@dataclass(frozen=True)
class Pass:
    """One run over the items."""

    samples: list[Sample]
    seconds: float
    cpu_s: float


def measure(
    config: RunConfig, say: Callable[[str], None] = lambda what: None, loaded: Loaded | None = None
) -> dict[str, Any]:
    """One pass with every setting of `config`, then a pass for each setting, with and without references."""
    loaded = loaded or load(config.model, config.device, config.dtype)
    _run(replace(config, limit=1), loaded)  # warms up
    say("all in one pass")
    together = _run(config, loaded)
    say("the same, references left out")
    swept = tuple(config.settings()[2:])
    bare = _run(config, loaded, swept)
    apart, strict = [], []
    for setting in swept:
        method, budget = setting
        say(f"{method.name} at {budget} on its own")
        alone = replace(config, methods=(method.name,), budgets=(budget,))
        apart.append(_run(alone, loaded))
        strict.append(_run(alone, loaded, (setting,)))
    rows = [_row("with_references", together, apart), _row("without_references", bare, strict)]
    return {
        **environment(),
        "seed": config.seed,
        "model": config.model,
        "methods": list(config.methods),
        "budgets": list(config.budgets),
        "items": config.limit,
        "batch_size": config.batch_size,
        "note": NOTE,
        "same_answers": all(_answers(each) <= _answers(together) for each in [bare, *apart, *strict]),
        "rows": rows,
    }


def _run(config: RunConfig, loaded: Loaded, only: tuple[Setting, ...] = ()) -> Pass:
    task = config.opened()
    asker = Asker(config, task, loaded, only)
    started, cpu = perf_counter(), process_time()
    samples = [
        sample
        for batch in batches(task.items(config.split_of(task), config.limit), config.batch_size)
        for new in asker.answered(batch, {})
        for sample in new
    ]
    return Pass(samples, perf_counter() - started, process_time() - cpu)


def _answers(one: Pass) -> set[tuple[Key, str, int | float]]:
    return {(sample.key, sample.answer, sample.kept) for sample in one.samples}


def _row(case: str, together: Pass, apart: list[Pass]) -> dict[str, Any]:
    seconds, cpu = sum(each.seconds for each in apart), sum(each.cpu_s for each in apart)
    return {
        "case": case,
        "ours_ms": 1e3 * together.seconds,
        "peer": "separate passes",
        "peer_ms": 1e3 * seconds,
        "speedup_vs_separate": seconds / together.seconds,
        "ours_cpu_s": together.cpu_s,
        "peer_cpu_s": cpu,
        "cpu_speedup_vs_separate": cpu / together.cpu_s,
    }

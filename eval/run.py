"""Run an evaluation: every method at every budget on the same items, batch by batch, where it was left."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from arr_coc.eval.asking import Asker
from arr_coc.eval.atomic import write_json, write_text
from arr_coc.eval.batches import batches, sizes
from arr_coc.eval.config import RunConfig
from arr_coc.eval.environment import environment
from arr_coc.eval.examples import draw_examples
from arr_coc.eval.extras import need
from arr_coc.eval.flops import DecoderShape
from arr_coc.eval.folder import claim, prepare
from arr_coc.eval.journal import everything, journal
from arr_coc.eval.looking import looks_of
from arr_coc.eval.markdown import markdown
from arr_coc.eval.method import alpha_of
from arr_coc.eval.models import calibrated, load
from arr_coc.eval.plots import accuracy_vs_tokens
from arr_coc.eval.ranks import Rank
from arr_coc.eval.ratings import with_clip
from arr_coc.eval.report import report
from arr_coc.eval.samples import Sample
from arr_coc.eval.table import failures, grouped, paired, rows
from arr_coc.eval.tasks import Task

DONE_BEFORE = "done before"
"""What progress is told of answers that an earlier run gave."""
Progress = Callable[[int, str], None]
"""Told how many samples were just finished, and of what."""


def total(config: RunConfig, rank: Rank | None = None) -> int:
    """How many answers an evaluation consists of; with a rank, the share of one process."""
    task = config.opened()
    n_items = task.count(config.split_of(task), config.limit)
    if rank is not None:
        each = enumerate(sizes(n_items, config.batch_size))
        n_items = sum(n for number, n in each if rank.mine(number))
    return n_items * len(config.settings())


def evaluate(
    config: RunConfig,
    progress: Progress = lambda done, what: None,
    retry: bool = False,
    watch: bool = False,
) -> dict[str, Any] | None:
    """Run what is not done yet, write everything into `config.folder`, return the content of results.json.

    With `retry`, what failed before is asked again; with `watch`, samples say how surprising they are. Of
    several processes the last one to finish writes the results; the others return None.
    """
    need("jinja2", "matplotlib", "scipy")
    rank = Rank.here()
    expected = total(config)  # an impossible limit is said before a model is loaded
    prepare(config.folder)
    loaded = load(config.model, rank.device(config.device), config.dtype)
    if config.need:
        loaded = calibrated(loaded, config.need)
    loaded = with_clip(loaded, config.clip)
    for method, budget in config.settings():
        # Each says what is missing before anything is asked.
        method.needs(budget, config.seed, loaded.experts)
        alpha = alpha_of(budget)
        if alpha is not None:
            looks_of(loaded, method, alpha)
    task = config.opened(loaded.model.config.model_type)
    folder = claim(config, loaded.weights)
    with journal(folder, rank) as record:
        done = {sample.key: sample for sample in everything(folder) if not (retry and sample.error)}
        if rank.of == 1:
            progress(len(done), DONE_BEFORE)
        asker = Asker(config, task, loaded, watch=watch)
        settings = len(config.settings())
        items = task.items(config.split_of(task), config.limit)
        for number, batch in enumerate(batches(items, config.batch_size)):
            if not rank.mine(number):
                continue
            n_new = 0
            for new in asker.answered(batch, done):
                record.write(new)
                n_new += len(new)
                progress(len(new), f"{new[0].method} at {new[0].budget}")
            if rank.of > 1:
                progress(len(batch) * settings - n_new, DONE_BEFORE)
        samples = record.merged()
        if samples is None or len(samples) < expected:
            return None
        draw_examples(config, task, loaded, samples, folder)
        return write_results(config, task, samples, DecoderShape.of(loaded.model.config), folder)


def write_results(
    config: RunConfig, task: Task, samples: list[Sample], shape: DecoderShape, folder: Path
) -> dict[str, Any]:
    """results.json, the plot and the reports of finished samples."""
    groups = grouped(samples, [(method.name, budget) for method, budget in config.settings()])
    results = {
        "config": config.plain() | {"split": config.split_of(task)},
        "environment": environment(),
        "failures": failures(samples),
        "rows": rows(groups, shape, task, config.seed),
        "paired": paired(groups, config.seed),
    }
    write_json(folder / "results.json", results)
    accuracy_vs_tokens(results, folder / "accuracy_vs_tokens.png")
    write_text(folder / "report.md", markdown(results))
    report(results, samples, folder)
    return results

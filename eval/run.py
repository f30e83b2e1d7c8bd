"""Run an evaluation: every method at every budget on the same items, batch by batch, where it was left."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from arr_coc.eval.answer import Answers, answer
from arr_coc.eval.atomic import write_json
from arr_coc.eval.config import RunConfig
from arr_coc.eval.environment import environment
from arr_coc.eval.extras import need
from arr_coc.eval.flops import DecoderShape
from arr_coc.eval.folder import claim
from arr_coc.eval.method import Budget, Method
from arr_coc.eval.models import Loaded, load
from arr_coc.eval.plots import accuracy_vs_tokens
from arr_coc.eval.prompt import encoded, prompt
from arr_coc.eval.report import report
from arr_coc.eval.samples import Key, Sample, repair, writer
from arr_coc.eval.table import grouped, paired, rows
from arr_coc.eval.tasks import TASKS, Item, Task

Setting = tuple[Method, Budget]
Progress = Callable[[int, str], None]
"""Told how many samples were just finished, and of what."""


def total(config: RunConfig) -> int:
    """How many answers an evaluation consists of."""
    task: Task = TASKS[config.task]()
    return task.count(config.split, config.limit) * len(config.settings())


def evaluate(config: RunConfig, progress: Progress = lambda done, what: None) -> dict[str, Any]:
    """Run what is not done yet, write everything into `config.out`, return the content of results.json."""
    need("jinja2", "matplotlib")
    task: Task = TASKS[config.task]()
    task.count(config.split, config.limit)  # an impossible limit is said before a model is loaded
    loaded = load(config.model, config.device, config.dtype)
    folder = claim(config, loaded.weights)
    path = folder / "samples.jsonl"
    with writer(path) as out:
        samples = repair(path)
        progress(len(samples), "done before")
        done = {sample.key for sample in samples}
        for batch in _batches(task.items(config.split, config.limit), config.batch_size):
            for new in _answered(config, task, loaded, batch, done):
                out.write(new)
                samples += new
                progress(len(new), f"{new[0].method} at {new[0].budget}")
    return write_results(config, samples, DecoderShape.of(loaded.model.config), folder)


def write_results(
    config: RunConfig, samples: list[Sample], shape: DecoderShape, folder: Path
) -> dict[str, Any]:
    """results.json, the plot and the report of finished samples."""
    groups = grouped(samples, [(method.name, budget) for method, budget in config.settings()])
    results = {
        "config": config.plain(),
        "environment": environment(),
        "rows": rows(groups, shape),
        "paired": paired(groups, config.seed),
    }
    write_json(folder / "results.json", results)
    accuracy_vs_tokens(results, folder / "accuracy_vs_tokens.png")
    report(results, samples, folder)
    return results


def _batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while batch := list(islice(items, size)):
        yield batch


def _answered(
    config: RunConfig, task: Task, loaded: Loaded, batch: list[Item], done: set[Key]
) -> Iterator[list[Sample]]:
    """What is missing of a batch, one list a setting. Settings that miss the same items share inputs."""
    made: tuple[list[str], Any] | None = None
    needs = {tap for method, budget in config.settings() for tap in method.needs(budget, config.seed)}
    for method, budget in config.settings():
        missing = [item for item in batch if (config.task, method.name, budget, item.id) not in done]
        if not missing:
            continue
        names = [item.id for item in missing]
        if made is None or made[0] != names:
            inputs = prompt(loaded, [item.image for item in missing], [item.question for item in missing])
            made = names, encoded(loaded, inputs, needs) if config.share_vision else inputs
        answers = answer(loaded, made[1], method.allocator(budget, config.seed), task.max_new_tokens)
        yield _samples(config.task, task, method, budget, missing, answers)


def _samples(
    name: str, task: Task, method: Method, budget: Budget, items: list[Item], answers: Answers
) -> list[Sample]:
    share = 1 / len(items)
    return [
        Sample(
            id=item.id,
            task=name,
            method=method.name,
            budget=budget,
            question=item.question,
            answer=text,
            gold=item.gold,
            score=task.score(text, item.gold),
            kept=int(keep.sum()),
            visual=len(keep),
            seconds=answers.seconds * share,
            kind=item.kind,
            picture=item.picture,
            words=words,
            prefill_ms=answers.prefill_ms * share,
            select_ms=answers.select_ms * share,
            kv_bytes=answers.kv_bytes * share,
        )
        for item, text, keep, words in zip(items, answers.texts, answers.keep, answers.words, strict=True)
    ]

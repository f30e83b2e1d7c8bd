"""The pictures of `arr-coc demo`: three items, with the tokens that `seed` and `efe` left to the model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arr_coc.eval.ask import ask
from arr_coc.eval.config import RunConfig
from arr_coc.eval.method import Budget, Method
from arr_coc.eval.models import load
from arr_coc.eval.report import report
from arr_coc.eval.samples import read
from arr_coc.eval.tasks import Item

SHOWN, BUDGET = 3, 0.11
BESIDES = ("seed", "efe")


def run_demo(config: RunConfig, results: dict[str, Any]) -> list[Path]:
    """Draw kept_0.png .. kept_2.png into the folder of a finished evaluation, and into its report."""
    task = config.opened()
    loaded = load(config.model, config.device, config.dtype)
    folder = config.folder
    settings: list[tuple[Method, Budget]] = [(Method.parse(name), BUDGET) for name in BESIDES]
    paths = []
    for i, item in enumerate(_of_different_kinds(task.items(config.split_of(task), config.limit))):
        paths.append(folder / f"kept_{i}.png")
        ask(
            loaded,
            item.image,
            item.question,
            settings,
            task.max_new_tokens,
            paths[-1],
            item.gold,
            config.seed,
        )
    report(results, read(folder / "samples.jsonl"), folder)
    return paths


def _of_different_kinds(items: Iterator[Item]) -> Iterator[Item]:
    kinds: set[str] = set()
    for item in items:
        if len(kinds) == SHOWN:
            return
        if item.kind not in kinds:
            kinds.add(item.kind)
            yield item

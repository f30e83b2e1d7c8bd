"""Two evaluations side by side: paired tests on the items that both answered; and a table of many."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arr_coc.eval.journal import everything
from arr_coc.eval.method import BLIND, FULL, Budget
from arr_coc.eval.samples import Sample
from arr_coc.eval.table import adjusted, compared

Setting = tuple[str, Budget]


def compare_runs(a: Path, b: Path, seed: int = 0) -> list[dict[str, Any]]:
    """Differences a - b, setting by setting, on common items, with p adjusted for how many there are.

    Settings of the same name are compared with each other. Where the two have none in common but the
    references, every method of `a` is compared with every method of `b` at the same budget.
    Raises FileNotFoundError for a folder without samples, ValueError where there is nothing to compare.
    """
    ours, theirs = _settings(a), _settings(b)
    same = [setting for setting in ours if setting in theirs]
    pairs = [(setting, setting) for setting in same]
    if not [setting for setting in same if setting[0] not in (FULL.name, BLIND.name)]:
        pairs += [(m, o) for m in ours if m not in same for o in theirs if o not in same and m[1] == o[1]]
    found = list(_compared(ours, theirs, pairs, seed))
    if not found:
        raise ValueError(f"{a} and {b} have no item in common at the same method or budget")
    return adjusted(found)


def leaderboard(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of all evaluations below a folder, best first for each task and number of tokens, and what could
    not be read. Raises ValueError if there is none.
    """
    board, unreadable = [], []
    for path in sorted(folder.rglob("results.json")):
        try:
            results = json.loads(path.read_text(encoding="utf-8"))
            config, environment = results["config"], results["environment"]
            board += [
                {
                    "run": str(path.parent.relative_to(folder)),
                    "model": config["model"],
                    "split": config["split"],
                    "commit": environment["commit"],
                    **{name: row.get(name) for name in SHOWN},
                }
                for row in results["rows"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            unreadable.append(f"{path}: {type(error).__name__}: {error}")
    if not board:
        raise ValueError(f"no evaluation below {folder}: give the folder that holds those of `arr-coc eval`")
    order = lambda row: (row["task"], row["split"], row["model"], -row["kept_tokens"], -row["accuracy"])  # noqa: E731
    return sorted(board, key=order), unreadable


SHOWN = (
    "task", "method", "budget", "n", "failed", "kept_tokens", "accuracy", "ci95", "relative_accuracy",
    "above_blind", "compliance", "prefill_ms", "select_ms",
)  # fmt: skip
"""What a leaderboard takes from a row."""


def _settings(folder: Path) -> dict[Setting, dict[str, Sample]]:
    samples = everything(folder)
    if not samples:
        raise FileNotFoundError(f"no samples in {folder}: give the folder of an evaluation")
    unfit = {sample.id for sample in samples if sample.error.startswith("item:")}
    found: dict[Setting, dict[str, Sample]] = {}
    for sample in samples:
        if sample.id not in unfit:
            found.setdefault((sample.method, sample.budget), {})[f"{sample.task}/{sample.id}"] = sample
    return found


def _compared(
    ours: dict[Setting, dict[str, Sample]],
    theirs: dict[Setting, dict[str, Sample]],
    pairs: list[tuple[Setting, Setting]],
    seed: int,
) -> Iterator[dict[str, Any]]:
    for mine, other in pairs:
        common = sorted(ours[mine].keys() & theirs[other].keys())
        if not common:
            continue
        a, b = ([side[name] for name in common] for side in (ours[mine], theirs[other]))
        asked_alike = all(x.question == y.question and x.gold == y.gold for x, y in zip(a, b, strict=True))
        if not asked_alike:
            raise ValueError(
                f"the two runs asked different questions under the same names, first at {common[0]}: "
                "compare runs of the same task and data"
            )
        alone = len(ours[mine].keys() ^ theirs[other].keys())
        yield {
            "method": mine[0],
            "versus": other[0],
            "budget": mine[1],
            "accuracy": sum(s.score for s in a) / len(a),
            "versus_accuracy": sum(s.score for s in b) / len(b),
            "only_in_one": alone,
        } | compared(a, b, seed)

"""From samples to results.json: one row a method and budget, and paired differences between methods."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import numpy as np

from arr_coc.eval.flops import DecoderShape
from arr_coc.eval.method import BLIND, FULL, Budget
from arr_coc.eval.samples import Sample
from arr_coc.eval.stats import Estimate, accuracy, paired_difference

Group = dict[tuple[str, Budget], list[Sample]]


def grouped(samples: Sequence[Sample], settings: Sequence[tuple[str, Budget]]) -> Group:
    """Samples of every setting, in the order of the settings and of the items' names."""
    groups: Group = {setting: [] for setting in settings}
    for sample in samples:
        groups[sample.method, sample.budget].append(sample)
    return {setting: sorted(group, key=lambda s: s.id) for setting, group in groups.items() if group}


def rows(groups: Group, shape: DecoderShape) -> list[dict[str, Any]]:
    """One row a setting. The two references, `full` and `blind`, must be among the groups."""
    full = _estimate(groups[FULL.name, 1.0]).mean
    blind = _estimate(groups[BLIND.name, 0]).mean
    return [_row(method, budget, group, full, blind, shape) for (method, budget), group in groups.items()]


def _row(
    method: str, budget: Budget, group: list[Sample], full: float, blind: float, shape: DecoderShape
) -> dict[str, Any]:
    estimate = _estimate(group)
    kept, visual = fmean(s.kept for s in group), fmean(s.visual for s in group)
    above = full - blind
    return {
        "task": group[0].task,
        "method": method,
        "budget": budget,
        "keep_ratio": kept / visual if visual else None,
        "n": len(group),
        "accuracy": estimate.mean,
        "ci95": [estimate.low, estimate.high],
        "blind_accuracy": blind,
        "relative_accuracy": estimate.mean / full if full else None,
        # What is left of what looking is worth: 0 is blind, 1 is every token.
        "above_blind": (estimate.mean - blind) / above if above > 0 else None,
        "visual_tokens": visual,
        "kept_tokens": kept,
        "prefill_ms": median(s.prefill_ms for s in group),
        "select_ms": median(s.select_ms for s in group),
        "prefill_flops": fmean(shape.prefill_flops(s.kept + s.words) for s in group),
        "kv_bytes": fmean(s.kv_bytes for s in group),
        "by_kind": _by_kind(group),
    }


def paired(groups: Group, seed: int) -> list[dict[str, Any]]:
    """Every method against `efe` (without it, the first one) at the same budget, on the same items.

    `difference` is the other method's accuracy taken from ours: above 0, the reference is better.
    """
    swept = [method for method, _ in groups if method not in (FULL.name, BLIND.name)]
    if not swept:
        return []
    ours = "efe" if "efe" in swept else swept[0]
    found = []
    for (method, budget), theirs in groups.items():
        if method in (ours, FULL.name, BLIND.name) or (ours, budget) not in groups:
            continue
        estimate = compare(groups[ours, budget], theirs, seed)
        found.append(
            {
                "method": ours,
                "versus": method,
                "budget": budget,
                "difference": estimate.mean,
                "ci95": [estimate.low, estimate.high],
                "n": len(theirs),
            }
        )
    return found


def compare(ours: Sequence[Sample], theirs: Sequence[Sample], seed: int) -> Estimate:
    """Difference in accuracy of two runs. Raises ValueError if they are not about the same items."""
    if [s.id for s in ours] != [s.id for s in theirs]:
        raise ValueError(
            f"{ours[0].method} and {theirs[0].method} answered different items: run the evaluation to its end"
        )
    return paired_difference(_scores(ours), _scores(theirs), [s.picture for s in ours], seed)


def _by_kind(group: list[Sample]) -> dict[str, dict[str, Any]]:
    kinds: dict[str, list[Sample]] = {}
    for sample in group:
        kinds.setdefault(sample.kind, []).append(sample)
    found = {}
    for kind in sorted(kinds):
        estimate = _estimate(kinds[kind])
        found[kind] = {
            "n": len(kinds[kind]),
            "accuracy": estimate.mean,
            "ci95": [estimate.low, estimate.high],
        }
    return found


def _scores(group: Sequence[Sample]) -> Any:
    return np.array([sample.score for sample in group], dtype=np.float64)


def _estimate(group: Sequence[Sample]) -> Estimate:
    return accuracy(_scores(group), [sample.picture for sample in group])

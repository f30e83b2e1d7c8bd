"""From samples to results.json: one row a method and budget, and paired differences between methods."""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import isfinite
from statistics import fmean, median
from typing import Any

import numpy as np

from arr_coc.eval.flops import DecoderShape
from arr_coc.eval.method import BLIND, FULL, Budget
from arr_coc.eval.samples import Sample
from arr_coc.eval.significance import clustered_error, clustered_p, holm, jackknife, mcnemar
from arr_coc.eval.stats import Estimate, accuracy, paired_difference, share_kept
from arr_coc.eval.tasks import Task

Group = dict[tuple[str, Budget], list[Sample]]


def grouped(samples: Sequence[Sample], settings: Sequence[tuple[str, Budget]]) -> Group:
    """Samples of every setting, in the order of the settings and of the items' names.

    An item that could not be asked or scored in one setting is left out of all. A failed model is wrong.
    """
    groups: Group = {setting: [] for setting in settings}
    unfit = {sample.id for sample in samples if sample.error.startswith("item:")}
    if samples and len(unfit) == len({sample.id for sample in samples}):
        raise ValueError(f"no item could be asked: {samples[0].error}")
    for sample in samples:
        if sample.id not in unfit:
            groups[sample.method, sample.budget].append(sample)
    return {setting: sorted(group, key=lambda s: s.id) for setting, group in groups.items() if group}


def failures(samples: Sequence[Sample]) -> dict[str, Any]:
    """What has no answer: items that nobody could ask, model errors, and how often each reason was given."""
    failed = [sample for sample in samples if sample.error]
    reasons = Counter(sample.error for sample in failed)
    return {
        "items": len({sample.id for sample in failed if sample.error.startswith("item:")}),
        "answers": sum(sample.error.startswith("model:") for sample in failed),
        "reasons": dict(sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0]))[:20]),
    }


def rows(groups: Group, shape: DecoderShape, task: Task, seed: int = 0) -> list[dict[str, Any]]:
    """One row a setting. The two references, `full` and `blind`, must be among the groups."""
    return [_row(setting, groups, shape, task, seed) for setting in groups]


def _row(
    setting: tuple[str, Budget], groups: Group, shape: DecoderShape, task: Task, seed: int
) -> dict[str, Any]:
    group, full, blind = groups[setting], groups[FULL.name, 1.0], groups[BLIND.name, 0]
    pictures = [sample.picture for sample in group]
    estimate, most, least = _estimate(group), _estimate(full).mean, _estimate(blind).mean
    kept, visual = fmean(s.kept for s in group), fmean(s.visual for s in group)
    share = share_kept(_scores(group), _scores(full), _scores(blind), pictures, seed)
    headline = jackknife(group, pictures, lambda part: task.summary(part)[task.headline])
    return {
        "task": group[0].task,
        "method": setting[0],
        "budget": setting[1],
        "keep_ratio": kept / visual if visual else None,
        "n": len(group),
        "pictures": len(set(pictures)),
        "failed": sum(bool(s.error) for s in group),
        "accuracy": estimate.mean,
        "ci95": [estimate.low, estimate.high],
        "standard_error": _finite(clustered_error(_scores(group), pictures)),
        "blind_accuracy": least,
        "relative_accuracy": estimate.mean / most if most else None,
        # What is left of what looking is worth: 0 is blind, 1 is every token.
        "above_blind": share.mean if share else None,
        "above_blind_ci95": [share.low, share.high] if share else None,
        # What the bound of a cascade is about.
        "differs_from_full": fmean(a.answer != b.answer for a, b in zip(group, full, strict=True)),
        "compliance": fmean(task.follows(s.answer) for s in group),
        "headline": task.headline,
        "headline_value": headline.mean,
        "headline_ci95": [_finite(headline.low), _finite(headline.high)],
        "summary": task.summary(group),
        "visual_tokens": visual,
        "kept_tokens": kept,
        # What methods that prune before and inside the language model are compared at.
        "token_layers": _mean_where_counted(s.token_layers for s in group),
        "prefill_ms": _median(s.prefill_ms for s in group),
        "select_ms": _median(s.select_ms for s in group),
        "prefill_flops": fmean(_prefill_flops(shape, s) for s in group),
        "kv_bytes": fmean(s.kv_bytes for s in group),
        "by_kind": _by_kind(group),
    }


def paired(groups: Group, seed: int) -> list[dict[str, Any]]:
    """Every method against `efe` (without it, the first one) at the same budget, on the same items.

    `difference` is the other method's accuracy taken from ours: above 0, the reference is better. `p_holm`
    is `p` with all rows of this table taken into account.
    """
    swept = [method for method, _ in groups if method not in (FULL.name, BLIND.name)]
    if not swept:
        return []
    ours = "efe" if "efe" in swept else swept[0]
    return adjusted(
        [
            {"method": ours, "versus": method, "budget": budget}
            | compared(groups[ours, budget], theirs, seed)
            for (method, budget), theirs in groups.items()
            if method not in (ours, FULL.name, BLIND.name) and (ours, budget) in groups
        ]
    )


def compared(ours: Sequence[Sample], theirs: Sequence[Sample], seed: int) -> dict[str, Any]:
    """Difference, interval and tests of two groups on the same items, both sorted by item."""
    estimate = compare(ours, theirs, seed)
    mine, other = _scores(ours), _scores(theirs)
    return {
        "difference": estimate.mean,
        "ci95": [estimate.low, estimate.high],
        "n": len(ours),
        "won": int((mine > other).sum()),
        "lost": int((mine < other).sum()),
        "p": clustered_p(mine - other, [s.picture for s in ours]),
        "mcnemar_p": mcnemar(mine, other),
    }


def adjusted(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With `p_holm`, which takes into account how many comparisons there are."""
    return [pair | {"p_holm": p} for pair, p in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True)]


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


def _prefill_flops(shape: DecoderShape, sample: Sample) -> int:
    by_layer = None if sample.by_layer is None else [n + sample.words for n in sample.by_layer]
    return shape.prefill_flops(round(sample.kept) + sample.words, by_layer)


def _median(times: Iterable[float | None]) -> float | None:
    """None where nothing was timed."""
    known = [ms for ms in times if ms is not None]
    return median(known) if known else None


def _mean_where_counted(counts: Iterable[int | None]) -> float | None:
    """None where one was not counted."""
    known = list(counts)
    return None if None in known else fmean(n for n in known if n is not None)


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _scores(group: Sequence[Sample]) -> Any:
    return np.array([sample.score for sample in group], dtype=np.float64)


def _estimate(group: Sequence[Sample]) -> Estimate:
    return accuracy(_scores(group), [sample.picture for sample in group])

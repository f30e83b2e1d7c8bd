"""Write report.html: one file with the table, the plot and the items on which methods disagree."""

import base64
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from arr_coc.eval.atomic import write_text
from arr_coc.eval.markdown import p_value
from arr_coc.eval.method import FULL
from arr_coc.eval.samples import Sample

SHOWN = 30
"""Items listed at most."""


def report(results: dict[str, Any], samples: Sequence[Sample], folder: Path) -> None:
    """Write a page that needs nothing else: pictures of the folder are in it, model output is escaped."""
    from jinja2 import Environment, StrictUndefined

    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = page.from_string((files("arr_coc.eval") / "report.html.jinja").read_text(encoding="utf-8"))
    pictures = [folder / "accuracy_vs_tokens.png", *sorted(folder.glob("kept_*.png"))]
    disagreements, settings = disagreeing(samples)
    html = template.render(
        **results,
        pictures=[_embedded(path) for path in pictures if path.exists()],
        settings=settings,
        items=disagreements[:SHOWN],
        n_disagreeing=len(disagreements),
        p_value=p_value,
        kinds=sorted({kind for row in results["rows"] for kind in row["by_kind"]}),
    )
    write_text(folder / "report.html", html)


def disagreeing(samples: Sequence[Sample]) -> tuple[list[dict[str, Any]], list[str]]:
    """Items on which some setting is right and another wrong, at the smallest budget all methods share.

    Returns the items (question, gold, answers by setting) and the names of the settings.
    """
    swept = [s for s in samples if s.kept and s.method != FULL.name]
    budgets = {
        budget: {s.method for s in swept if s.budget == budget} for budget in {s.budget for s in swept}
    }
    methods = {s.method for s in swept}
    shared = [budget for budget, have in budgets.items() if have == methods]
    if not shared:
        return [], []
    kept = {budget: max(s.kept for s in swept if s.budget == budget) for budget in shared}
    # A ninth is where methods differ most in the literature; the budget nearest to it is shown.
    whole = max(s.visual for s in swept)
    budget = min(shared, key=lambda b: (abs(kept[b] / whole - 1 / 9), str(b)))
    chosen = [s for s in samples if s.method == FULL.name or (s.budget == budget and s.method in methods)]
    names = list(dict.fromkeys(_name(s) for s in chosen))
    by_item: dict[str, list[Sample]] = {}
    for sample in chosen:
        by_item.setdefault(sample.id, []).append(sample)
    found = []
    for name in sorted(by_item):
        scores = [s.score for s in by_item[name]]
        if max(scores) == min(scores):
            continue
        answers = {_name(s): s for s in by_item[name]}
        found.append({"id": name, "first": by_item[name][0], "answers": answers})
    return found, names


def _name(sample: Sample) -> str:
    return f"{sample.method} {sample.budget}"


def _embedded(path: Path) -> dict[str, str]:
    kinds = {
        "kept_win": "Right with the kept tokens, wrong with all",
        "kept_loss": "Wrong with the kept tokens",
    }
    caption = kinds.get(path.stem.rpartition("_")[0], "")
    return {"name": path.stem, "caption": caption, "data": base64.b64encode(path.read_bytes()).decode()}

"""The report: one file, nothing from outside, nothing of what a model says is taken for markup."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from arr_coc.eval.config import RunConfig
from arr_coc.eval.environment import environment
from arr_coc.eval.plots import accuracy_vs_tokens
from arr_coc.eval.report import disagreeing, report
from arr_coc.eval.samples import Sample
from arr_coc.eval.table import failures, grouped, paired, rows
from arr_coc.eval.tasks.scene_vqa import SceneVQA
from tests.test_eval_table import SETTINGS, SHAPE, sampled

EVIL = "<script>alert('x')</script>"


def written(folder: Path, samples: list[Sample]) -> str:
    groups = grouped(samples, SETTINGS)
    results: dict[str, Any] = {
        "config": RunConfig().plain(),
        "environment": environment(),
        "failures": failures(samples),
        "rows": rows(groups, SHAPE, SceneVQA()),
        "paired": paired(groups, 0),
    }
    accuracy_vs_tokens(results, folder / "accuracy_vs_tokens.png")
    report(results, samples, folder)
    return (folder / "report.html").read_text()


def test_what_a_model_or_a_task_says_is_escaped(tmp_path: Path) -> None:
    samples = sampled({"blind": 4, "full": 20, "efe": 16, "random": 8})
    hostile = [replace(s, answer=EVIL, question=EVIL, gold=EVIL, kind=EVIL) for s in samples]

    html = written(tmp_path, hostile)

    assert "&lt;script&gt;" in html
    assert "<script" not in html


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    html = written(tmp_path, sampled({"blind": 4, "full": 20, "efe": 16, "random": 8}))

    assert 'src="data:image/png;base64,iVBOR' in html
    assert "http" not in html
    assert 'src="data' in html.split("<img", 1)[1]


def test_the_items_on_which_methods_disagree_are_listed() -> None:
    items, names = disagreeing(sampled({"blind": 4, "full": 20, "efe": 16, "random": 8}))

    assert names == ["full 1.0", "efe 0.11", "random 0.11"]
    assert [item["id"] for item in items] == [
        f"{i:03d}" for i in range(8, 20)
    ]  # blind is not a method of reading

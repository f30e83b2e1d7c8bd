"""Experts are taught by where a model looks, and what was learned reaches evaluations by its name."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.testing import assert_close

from arr_coc.allocate import Allocator
from arr_coc.eval.calibrate import calibrate
from arr_coc.eval.method import Method
from arr_coc.eval.models import PREFERENCE, calibrated, load
from arr_coc.eval.prompt import prompt
from arr_coc.eval.run import evaluate
from arr_coc.eval.tasks.task import Item, looked_at, open_task
from arr_coc.eval.teaching import _apart, _heard, _together, show_experts, sources_of, taught
from arr_coc.experts import Experts, load_experts
from tests.runs import tiny_model
from tests.test_eval_run import config
from tests.tiny_llava import folder

TRUSTED = Experts(("words", "received"), (0.5, 0.4), 0.1, (("words", 0.2), ("norm", -0.01)), 0.3, 0.9)


def items(n: int) -> list[Item]:
    return [looked_at(item) for item in open_task("scene_vqa").items("validation", n)]


def test_where_the_answer_looks_is_the_attention_of_the_full_model() -> None:
    loaded, batch = load(str(folder())), items(3)
    loaded.model.set_attn_implementation("eager")
    asked = prompt(loaded, [item.pictures for item in batch], [item.question for item in batch])
    with torch.no_grad():
        weights = loaded.model(**asked.for_generate(), output_attentions=True).attentions

    heard, rows = _heard(loaded, batch, ("words", "received"))

    paid = torch.stack([w[:, :, -1].mean(1) for w in weights]).mean(0)
    expected = torch.stack(
        [row[here] / row[here].sum() for row, here in zip(paid, asked.visual, strict=True)]
    )
    assert rows == [0, 1, 2]
    assert_close(heard.p, expected, atol=1e-6, rtol=1e-4)
    assert heard.z.shape == (3, 576, 2)


def test_a_model_is_asked_for_the_sources_that_it_has() -> None:
    assert sources_of(tiny_model("llava", "sdpa").model) == ("words", "text", "cls", "received", "norm")
    assert sources_of(tiny_model("qwen3_vl", "sdpa").model) == ("words", "text", "received", "norm")
    assert sources_of(tiny_model("internvl", "sdpa").model) == ("words", "text", "norm")  # a tower of no taps


def test_batches_of_any_size_teach_the_same() -> None:
    loaded, batch = load(str(folder())), items(8)

    one, two = (taught(loaded, [batch[i : i + n] for i in range(0, 8, n)]) for n in (2, 8))

    assert one.sources == two.sources
    assert_close(torch.tensor(one.gammas), torch.tensor(two.gammas), atol=1e-3, rtol=1e-3)


def test_pictures_of_two_widths_stand_below_each_other() -> None:
    loaded = load(str(folder()))
    heard, _ = _heard(loaded, items(2), ("norm",))
    narrow = replace(heard, z=heard.z[:, :9], p=heard.p[:, :9], valid=heard.valid[:, :9])

    both = _together([narrow, heard])

    assert both.valid.sum(1).tolist() == [9, 9, 576, 576]
    assert_close(both.p[:2, :9], narrow.p)
    assert (both.z[:2, 9:] == 0).all()


def test_what_is_asked_about_one_picture_stays_together() -> None:
    names = ["a", "b", "a", "c", "d", "b", "a"]
    apart = _apart(names)

    assert apart.any()
    assert not apart.all()
    assert len({(name, bool(which)) for name, which in zip(names, apart, strict=True)}) == 4


def test_the_table_says_what_each_source_is_worth() -> None:
    console = Console(width=80, record=True, file=StringIO())
    show_experts(TRUSTED, console)
    shown = [line.split() for line in console.export_text().splitlines()]

    assert ["words", "0.50", "0.200"] in shown
    assert ["norm", "dropped", "-0.010"] in shown
    assert ["product", "eps", "0.10", "0.300"] in shown


def test_learned_is_a_switch_that_is_filled_by_what_was_learned() -> None:
    method = Method.parse("efe+ln_n+learned")

    assert method.name == "efe+learned+ln_n"
    assert Method.parse(method.name) == method
    allocator = method.allocator(0.11, 0, experts=TRUSTED)
    assert allocator is not None
    assert allocator.scorer.preference == TRUSTED  # type: ignore[union-attr]
    assert method.needs(0.11, 0, TRUSTED) == ("received",)
    other = Method.parse("efe+ln_n").allocator(0.11, 0, experts=TRUSTED)
    assert other == Allocator(scorer=other.scorer, budget=0.11, precision=True)  # type: ignore[union-attr]
    assert other.scorer.preference == "question"  # type: ignore[union-attr]


def test_a_method_that_was_not_calibrated_says_so_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has to be learned first: run arr-coc calibrate MODEL.*--need"):
        evaluate(config(tmp_path, methods=("efe+learned+ln_n",), budgets=(8,)))
    assert not (tmp_path / "samples.jsonl").exists()


def test_a_preference_is_read_by_itself_and_with_the_model(tmp_path: Path) -> None:
    TRUSTED.save(tmp_path / PREFERENCE)
    bare = load(str(folder()))
    assert bare.experts is None

    read = calibrated(bare, tmp_path / PREFERENCE)

    assert read.experts == TRUSTED
    assert read.need is None
    for path in folder().iterdir():
        (tmp_path / path.name).symlink_to(path)
    assert load(str(tmp_path)).experts == TRUSTED


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny random model, calibrated with the method that wants what it learns first."""
    out = tmp_path_factory.mktemp("taught")
    run = config(out, methods=("efe+learned",), budgets=(1,), limit=16, batch_size=8)
    return run, calibrate(run, Console(quiet=True))[1]


def test_a_calibration_teaches_first_what_its_method_wants(rehearsed: Any) -> None:
    run, path = rehearsed
    loaded = calibrated(load(run.model), path)

    assert loaded.experts == load_experts(path.with_name(PREFERENCE))
    assert loaded.experts is not None
    assert loaded.cascade is not None
    assert loaded.cascade.method == "efe+learned"
    assert {name for name, _ in loaded.experts.alone} == {"words", "text", "cls", "received", "norm"}
    assert loaded.experts.most > 0


def test_an_evaluation_uses_what_was_learned(rehearsed: Any, tmp_path: Path) -> None:
    _, path = rehearsed
    changes = {"methods": ("efe+learned", "efe"), "budgets": (8,), "limit": 3, "need": str(path)}
    evaluate(config(tmp_path, **changes))

    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert not [line for line in lines if line["error"]]
    assert {line["kept"] for line in lines if line["method"] == "efe+learned"} == {8}

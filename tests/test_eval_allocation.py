"""The evidence: what is compared with what, by stratum, and that one command makes the files."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from arr_coc.eval import allocation
from arr_coc.eval.allocation import OURS, evidence, settings, strata_of
from arr_coc.eval.config import RunConfig
from arr_coc.eval.flops import DecoderShape
from arr_coc.eval.nano.dataset import crowd, item
from arr_coc.eval.samples import Sample
from arr_coc.scorers import SCORERS
from tests.test_eval_samples import ONE

SHAPE = DecoderShape(layers=2, dim=8, hidden=16, heads=2, kv_heads=2, head_dim=4, vocabulary=10)


def sampled(right: dict[str, int], n: int = 16) -> list[Sample]:
    """n items; each method is right on its first so many, at one budget."""
    return [
        replace(
            ONE, id=f"test-{i:06d}", picture=str(i), method=method, task="scene_vqa", kind="ab"[i % 2],
            budget={"blind": 0, "full": 1.0}.get(method, 0.11), score=float(i < k), token_layers=None,
        )
        for method, k in right.items()
        for i in range(n)
    ]  # fmt: skip


def test_ours_is_compared_with_the_best_of_the_others_as_published_and_with_what_we_lend_them() -> None:
    right = {"blind": 2, "full": 16, OURS[0]: 14, "efe": 16, "divprune": 9, "scope+received": 12, "pool": 5}
    right |= {"divprune+ln_n": 13}

    found = evidence(sampled(right), SHAPE, RunConfig())

    alone, lent = found["against_best"]
    assert (alone["best"], alone["among"], alone["accuracy"]) == (
        "scope+received", "as published", [14 / 16, 12 / 16],
    )  # fmt: skip
    assert (lent["best"], lent["difference"]) == ("divprune+ln_n", pytest.approx(1 / 16))
    assert (alone["won"], alone["lost"]) == (2, 0)
    assert alone["strata"]["a"]["difference"] == pytest.approx(1 / 8)
    assert {"a", "b"} < set(alone["strata"]) <= {"a", "b", "crowded", "empty", "middling"}
    # Further draws of the control do not make a table of what is lent.
    right["random+ln_n seed 1"] = right.pop("divprune+ln_n")
    (only,) = evidence(sampled(right), SHAPE, RunConfig())["against_best"]
    assert only["among"] == "as published"
    # Merging with precision against dropping.
    (switched,) = found["switched"]
    assert (switched["method"], switched["versus"], switched["lost"]) == (OURS[0], "efe", 2)


def test_a_crowd_is_counted_in_the_very_picture_that_is_asked_about() -> None:
    whole = [i for i in range(5, 2000, 8) if "how many objects are" in item("validation", i).question][:8]
    assert len(whole) == 8

    for index in whole:
        assert crowd("validation", index) == int(item("validation", index).answer)


@pytest.mark.parametrize(("n", "where"), [(1, "empty"), (3, "empty"), (4, "middling"), (9, "crowded")])
def test_a_stratum_is_a_kind_and_how_crowded_a_scene_is(
    n: int, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allocation, "crowd", lambda split, index: n)

    assert strata_of(replace(ONE, id="test-000007", task="scene_sizes", kind="count")) == ("count", where)
    named = replace(ONE, id="scene_sizes/test-000007", task="scene_sizes", kind="count")
    assert strata_of(named) == ("count", where)
    assert strata_of(replace(ONE, id="test-000007", task="scene_reading", kind="3 letters")) == ("3 letters",)


def test_every_published_method_and_every_control_is_in_the_table() -> None:
    named = {method.split("+")[0] for methods, _ in settings().values() for method in methods}

    assert named == set(SCORERS) - {"blind"}


def test_one_command_writes_figures_table_and_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {
        "published": ((*OURS, "divprune"), (0.11,)),
        "draw-1": (("random",), (0.11,)),
        "large": ((*OURS, "divprune"), (0.33,)),
        "leaders": ((OURS[0], "divprune"), (0.11,)),
    }
    monkeypatch.setattr(allocation, "MANY", 12)
    monkeypatch.setattr(allocation, "settings", lambda: few)
    monkeypatch.setitem(allocation.TASKS, "nano-llava", ("scene_vqa", "scene_sizes"))
    words = ["allocation", "--limit", "10", "--split", "validation"]
    monkeypatch.setattr(sys, "argv", [*words, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path)])

    allocation.main()

    found = json.loads((tmp_path / "nano-llava.json").read_text())
    rows = found["tasks"]["scene_vqa"]["rows"]
    assert [row["method"] for row in rows] == [
        "blind", "full", *OURS, "divprune", "random seed 1", *OURS, "divprune",
    ]  # fmt: skip
    assert [row["n"] for row in rows] == [10] * 7 + [2] * 4
    assert all(row["strata"] for row in rows)
    together = found["tasks"]["all tasks"]["rows"]
    assert [row["n"] for row in together] == [20] * 7 + [4] * 4
    alone = [row["accuracy"] for row in found["tasks"]["scene_sizes"]["rows"]]
    assert [row["accuracy"] for row in together] == pytest.approx(
        [(one["accuracy"] + other) / 2 for one, other in zip(rows, alone, strict=True)]
    )
    more = found["leaders"]["scene_vqa"]
    assert [(row["method"], row["n"]) for row in more["rows"]] == [
        ("blind", 12), ("full", 12), (OURS[0], 12), ("divprune", 12),
    ]  # fmt: skip
    assert [pair["among"] for pair in more["against_best"]] == ["as published"]
    assert found["leaders"]["all tasks"]["rows"][0]["n"] == 24
    table = (tmp_path / "nano-llava.md").read_text()
    assert "| `random seed 1` |" in table
    assert "`efe+merge+ln_n`" in table
    assert (tmp_path / "nano-llava.png").read_bytes().startswith(b"\x89PNG")

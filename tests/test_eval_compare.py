"""Two runs against each other, and many in one table."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arr_coc.eval.compare import compare_runs, leaderboard
from arr_coc.eval.config import RunConfig
from arr_coc.eval.examples import wins_and_losses
from arr_coc.eval.journal import journal
from arr_coc.eval.markdown import markdown
from arr_coc.eval.ranks import Rank
from arr_coc.eval.samples import Sample
from arr_coc.eval.table import compared, failures, grouped, paired, rows
from arr_coc.eval.tasks.scene_vqa import SceneVQA
from tests.test_eval_table import SETTINGS, SHAPE, sampled

RIGHT = {"blind": 4, "full": 20, "efe": 16, "random": 8}


def saved(folder: Path, samples: list[Sample]) -> Path:
    folder.mkdir()
    with journal(folder, Rank()) as out:
        out.write(samples)
    return folder


def results(samples: list[Sample], **config: Any) -> dict[str, Any]:
    groups = grouped(samples, SETTINGS)
    return {
        "config": RunConfig(**config).plain() | {"split": "test"},
        "environment": {"command": "arr-coc eval", "commit": "abc", "hardware": "a processor"},
        "failures": failures(samples),
        "rows": rows(groups, SHAPE, SceneVQA()),
        "paired": paired(groups, 0),
    }


def test_settings_of_the_same_name_are_compared_with_each_other(tmp_path: Path) -> None:
    a = saved(tmp_path / "a", sampled(RIGHT))
    b = saved(tmp_path / "b", sampled(RIGHT | {"efe": 12}))

    pairs = {pair["method"]: pair for pair in compare_runs(a, b)}

    assert pairs.keys() == {"blind", "full", "efe", "random"}
    assert pairs["full"]["difference"] == 0.0
    assert (pairs["efe"]["accuracy"], pairs["efe"]["versus_accuracy"]) == (0.8, 0.6)
    assert (pairs["efe"]["won"], pairs["efe"]["lost"], pairs["efe"]["n"]) == (4, 0, 20)
    assert pairs["efe"]["mcnemar_p"] == pytest.approx(2 / 2**4)
    assert pairs["efe"]["p_holm"] == pytest.approx(min(1.0, 4 * pairs["efe"]["p"]))


def test_runs_of_different_methods_are_compared_at_the_same_budget(tmp_path: Path) -> None:
    a = saved(tmp_path / "a", [s for s in sampled(RIGHT) if s.method != "random"])
    b = saved(tmp_path / "b", [s for s in sampled(RIGHT) if s.method != "efe"])

    last = compare_runs(a, b)[-1]

    assert (last["method"], last["versus"], last["difference"]) == ("efe", "random", pytest.approx(0.4))


def test_what_only_one_run_answered_is_left_out_and_counted(tmp_path: Path) -> None:
    samples = sampled(RIGHT)
    a, b = saved(tmp_path / "a", samples), saved(tmp_path / "b", [s for s in samples if s.id != "003"])

    pairs = compare_runs(a, b)

    assert {(pair["n"], pair["only_in_one"]) for pair in pairs} == {(19, 1)}


def test_other_questions_under_the_same_names_are_refused(tmp_path: Path) -> None:
    a = saved(tmp_path / "a", sampled(RIGHT))
    b = saved(tmp_path / "b", [replace(s, gold="blue") for s in sampled(RIGHT)])

    with pytest.raises(ValueError, match="different questions under the same names"):
        compare_runs(a, b)


def test_a_folder_without_samples_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no samples in"):
        compare_runs(tmp_path, tmp_path)


def test_a_comparison_that_finds_nothing_has_p_one() -> None:
    group = [s for s in sampled(RIGHT) if s.method == "efe"]

    assert compared(group, group, 0)["p"] == compared(group, group, 0)["mcnemar_p"] == 1.0


def test_a_leaderboard_holds_the_rows_of_all_runs_best_first_and_names_what_it_could_not_read(
    tmp_path: Path,
) -> None:
    for name, right in (("one", RIGHT), ("deep/two", RIGHT | {"efe": 18})):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "results.json").write_text(json.dumps(results(sampled(right))))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "results.json").write_text('{"rows": [')

    board, unreadable = leaderboard(tmp_path)

    assert [(row["run"], row["accuracy"]) for row in board if row["method"] == "efe"] == [
        ("deep/two", 0.9), ("one", 0.8),
    ]  # fmt: skip
    assert [row["kept_tokens"] for row in board] == [576, 576, 63, 63, 63, 63, 0, 0]
    assert len(unreadable) == 1
    assert "torn" in unreadable[0]


def test_a_folder_without_evaluations_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no evaluation below"):
        leaderboard(tmp_path)


def test_markdown_holds_every_row_and_no_cell_breaks_the_table() -> None:
    text = markdown(results(sampled(RIGHT), model="a|b`c"))

    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len(tables) == 2 + 4 + 2 + 1 + 2 + 4  # settings, pairs, settings by kind
    assert [line.count("|") for line in tables] == [10] * 6 + [9] * 3 + [5] * 6
    assert "| `efe` | 0.11 | 63 | 80.0 |" in text
    assert "a\\|b'c" in text


def test_wins_and_losses_are_against_all_tokens() -> None:
    samples = sampled(RIGHT | {"full": 10})

    found = wins_and_losses(samples, "efe", 0.11, most=2)

    assert found == {"win": ["010", "011"], "loss": []}
    assert wins_and_losses(samples, "random", 0.11, most=9)["loss"] == ["008", "009"]

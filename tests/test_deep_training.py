"""Training and its table: when a task counts as solved, and that finished jobs are kept and not run again."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("gymnasium", reason="the worlds are gymnasium's")

from arr_coc.eval.deep.anchors import anchor
from arr_coc.eval.deep.curves import learning_curves
from arr_coc.eval.deep.jobs import AGENTS
from arr_coc.eval.deep.life import live, solved
from arr_coc.eval.deep.parts import bars
from arr_coc.eval.deep.rows import CARTPOLE, MOUNTAIN_CAR
from arr_coc.eval.train_cartpole import app


def _job(agent: str, seed: int = 0, **found: Any) -> dict[str, Any]:
    return {
        "agent": agent,
        "seed": seed,
        "about": "",
        "curves": {"return": [9.0], "steps": [9.0], "F": [1.0]},
    } | found


def test_a_task_is_solved_at_the_first_hundred_episodes_that_are_good_enough() -> None:
    found = solved([0.0] * 6 + [500.0] * 109, [10.0] * 115)
    assert found["episode_of_475"] == 101  # of which the first is not counted any more, five are bad
    assert found["steps_of_475"] == 1010
    assert found["first_500"] == 7
    assert found["best_mean_of_100"] == 500.0


def test_ninety_nine_perfect_episodes_solve_nothing() -> None:
    assert solved([500.0] * 99, [500.0] * 99)["episode_of_475"] is None


def test_the_rule_by_hand_never_falls_and_chance_does() -> None:
    rule, chance = anchor("rule", 0, lambda told: None), anchor("random", 0, lambda told: None)
    assert rule["eval_return_min"] == 500.0
    assert chance["eval_return_mean"] < 40.0


def test_the_same_seed_lives_the_same_life() -> None:
    told: list[dict[str, float]] = []
    lives = [live(CARTPOLE, "efe_value", 7, told.append, episodes=2) for _ in range(2)]
    assert lives[0]["curves"] == lives[1]["curves"]
    assert lives[0]["eval_return_mean"] == lives[1]["eval_return_mean"]
    assert {"return", "F", "G", "entropy"} <= told[0].keys()


@pytest.mark.parametrize("ablation", ["no_epistemic", "car_no_epistemic"])
def test_an_ablation_differs_from_its_agent_in_the_term_that_is_off_only(ablation: str) -> None:
    task = MOUNTAIN_CAR if ablation.startswith("car_") else CARTPOLE
    whole, without = task.rows[ablation.replace("no_epistemic", "efe")], task.rows[ablation]
    assert without.settings.epistemic.parameters == 0.0 < whole.settings.epistemic.parameters
    for key in ("search", "rule", "gamma", "batch", "rate"):
        assert getattr(whole.settings, key) == getattr(without.settings, key)
    assert (whole.preference, whole.episodes, whole.early) == (
        without.preference,
        without.episodes,
        without.early,
    )


def test_no_agent_but_the_rewarded_one_is_asked_to_want_reward() -> None:
    rows = CARTPOLE.rows | MOUNTAIN_CAR.rows
    assert [name for name, row in rows.items() if row.preference is None] == ["reward_only"]


def test_a_finished_job_is_kept_and_not_run_again(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    words = ["--agents", "random,rule", "--seeds", "1", "--runs", str(runs), "--out", str(out)]
    first = CliRunner().invoke(app, words)
    assert first.exit_code == 0, first.output
    kept = json.loads((runs / "random-1.json").read_text())
    assert kept["made"]["commit"] is None or len(kept["made"]["commit"]) >= 40
    (runs / "random-1.json").write_text(json.dumps(kept | {"eval_return_mean": -1.0}))
    CliRunner().invoke(app, words)
    results = json.loads((out / "cartpole.json").read_text())
    assert [row["agent"] for row in results["rows"]] == ["random", "rule"]
    assert results["rows"][0]["eval_return_mean"] == [-1.0]  # as it was found, not as it would be
    assert all("source" in row for row in results["published"])


def test_an_unknown_agent_is_named_with_those_there_are(tmp_path: Path) -> None:
    failed = CliRunner().invoke(app, ["--agents", "sarsa", "--runs", str(tmp_path), "--out", str(tmp_path)])
    assert isinstance(failed.exception, ValueError)
    assert "sarsa" in str(failed.exception)
    assert AGENTS[0] in str(failed.exception)


def test_a_bar_is_missed_by_one_bad_seed_only_for_that_seed() -> None:
    good = {"episode_of_475": 115, "eval_return_mean": 475.0}
    jobs = [_job("efe", 0, **good), _job("efe", 1, **good | {"episode_of_475": 116})]
    jobs += [
        _job("efe", 2, **good | {"eval_return_mean": 474.9}),
        _job("efe", 3, **good | {"episode_of_475": None}),
    ]
    (efe, value, share, without) = bars(jobs).values()
    assert efe == {0: True, 1: False, 2: False, 3: False}
    assert value == {}
    assert share is None
    assert without is None


def test_a_picture_is_drawn_of_all_learners(tmp_path: Path) -> None:
    learning_curves([_job("efe"), _job("ppo"), _job("efe", 1)], tmp_path / "curves.png", 475.0)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")

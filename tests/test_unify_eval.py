"""The command that judges the guide's equivalences, and the file it left."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from arr_coc.agent.unify import CLAIMS
from arr_coc.agent.worlds import GridWorld
from arr_coc.eval.unification import RULES, regret_curves, row_of, thompson_by_gamma, value_by_budget
from arr_coc.eval.unification_report import draw, show

COMMITTED = Path(__file__).parents[1] / "eval" / "results" / "unification.json"


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(COMMITTED.read_text())
    return found


def test_every_claim_is_in_the_file_as_it_is_said_and_was_shown(committed: dict[str, Any]) -> None:
    said = [(row["claim"], row["guide"], row["truth"], row["condition"]) for row in committed["claims"]]

    assert said == [(claim.name, claim.guide, claim.truth, claim.condition) for claim in CLAIMS]
    for row, claim in zip(committed["claims"], CLAIMS, strict=True):
        assert row["verdict"] != "not shown"
        assert row["largest_deviation"] <= row["tolerance"] == claim.tolerance
        assert (row["verdict"] == "holds") == (row["counterexample"] is None)


def test_information_gain_earned_nothing_where_nothing_is_hidden_and_something_where_it_comes_first(
    committed: dict[str, Any],
) -> None:
    alike, apart = (
        committed["value_by_budget"][name]["by_information_gain"]
        for name in ("nothing hidden", "information first")
    )

    assert set(alike["mean"]) == {0.0}
    smallest = apart["mean"][:2], apart["standard_error"][:2]
    assert all(mean > 2 * error for mean, error in zip(*smallest, strict=True))
    # With the whole tree in view it adds nothing.
    assert abs(apart["mean"][-1]) <= 2 * apart["standard_error"][-1] + 1e-9


def test_the_curves_are_those_of_the_rules_that_are_measured(committed: dict[str, Any]) -> None:
    assert list(committed["regret"]["curves"]) == list(RULES)
    assert all(
        len(c["mean"]) == len(committed["regret"]["pulls"]) for c in committed["regret"]["curves"].values()
    )


def small() -> dict[str, Any]:
    """What the command measures, of one claim and tiny worlds."""
    chosen = [claim for claim in CLAIMS if claim.name in ("Kalman filter", "risk and ambiguity")]
    grid = value_by_budget(GridWorld(plan=("SG",)), 1, 2, (5, None), 2, seed=0)
    return {
        "problems": 2, "claims": [row_of(claim.measured(range(2))) for claim in chosen],
        "thompson_by_gamma": thompson_by_gamma(), "regret": regret_curves(4, 20, 0),
        "value_by_budget": {"nothing hidden": grid},
    }  # fmt: skip


def test_what_is_measured_is_shown_drawn_and_can_be_stored(tmp_path: Path) -> None:
    results, console = small(), Console(record=True, width=160)

    show(results, console)
    draw(results, tmp_path / "picture.png")

    text = console.export_text()
    assert "holds" in text
    assert "false" in text
    assert "E[ln Q(o) - ln P(o)]" in text  # brackets are not taken for markup
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_in_a_world_of_one_step_every_search_earns_the_goal_twice() -> None:
    found = small()["value_by_budget"]["nothing hidden"]

    assert found["curves"]["reward, UCB"] == {"mean": [8.0, 8.0], "standard_error": [0.0, 0.0]}
    assert found["curves"]["EFE, no bonus"]["mean"] == [8.0, 8.0]

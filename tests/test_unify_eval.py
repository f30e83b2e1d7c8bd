"""The command that judges the guide's equivalences, and the file it left."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from arr_coc.agent.unify import CLAIMS
from arr_coc.agent.worlds import GridWorld
from arr_coc.eval.unification import regret_curves, row_of, thompson_by_gamma, value_by_budget
from arr_coc.eval.unification_report import draw, show

COMMITTED = Path(__file__).parents[1] / "eval" / "results" / "unification.json"


@pytest.fixture(scope="module")
def committed() -> dict:  # type: ignore[type-arg]
    return json.loads(COMMITTED.read_text())  # type: ignore[no-any-return]


def test_every_claim_is_in_the_file_as_it_is_said_and_was_shown(committed: dict) -> None:  # type: ignore[type-arg]
    said = [(row["claim"], row["guide"], row["truth"], row["condition"]) for row in committed["claims"]]

    assert said == [(claim.name, claim.guide, claim.truth, claim.condition) for claim in CLAIMS]
    for row, claim in zip(committed["claims"], CLAIMS, strict=True):
        assert row["verdict"] != "not shown"
        assert row["largest_deviation"] <= row["tolerance"] == claim.tolerance
        assert (row["verdict"] == "holds") == (row["counterexample"] is None)


def test_the_file_has_curves_of_every_rule_and_search(committed: dict) -> None:  # type: ignore[type-arg]
    assert {"Thompson", "UCB1", "EFE, win 2"} <= set(committed["regret"]["curves"])
    assert len(committed["value_by_budget"]) == 2


def small() -> dict:  # type: ignore[type-arg]
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

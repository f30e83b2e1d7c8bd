"""Figures of the sources: the mazes are those whose ways are printed, bins are those of the source's rule."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from arr_coc.agent.worlds import SlotMachines
from arr_coc.eval.sources import __main__ as command
from arr_coc.eval.sources import cartpole, grids, reach, slots
from arr_coc.eval.sources.mazes import LARGE, SMALL


def silent(what: str) -> None:
    """Where progress goes."""


def test_both_mazes_are_walked_in_as_many_moves_as_their_source_prints() -> None:
    row = grids.ways(0, silent)

    assert [len("".join(plan).replace("#", "")) for plan in (SMALL, LARGE)] == [50, 470]
    for name, moves in row["published"].items():
        assert row["ours"][name]["steps_to_goal"] == moves
        assert row["ours"][name]["printed_way_leads_there"]


def test_a_bin_is_closed_below_and_the_last_is_what_lies_beyond() -> None:
    edges = torch.linspace(-0.3, 0.3, 10).tolist()

    for i, (low, high) in enumerate(pairwise(edges)):
        assert cartpole.binned((0.0, 0.0, (low + high) / 2, 0.0))[2] == i
    assert cartpole.binned((-1.0, 3.0, 0.3, -9.0)) == (0, 4, 9, 0)


def test_the_hand_reaches_before_it_closes_and_without_a_level_above_it_does_neither() -> None:
    row = reach.row((0,), silent, balls=(5,))

    assert row["ours"]["orders"] == [row["published"]["order"]]
    assert row["ours"]["picked"] == 1.0
    assert row["ours"]["flat_agent_of_the_same_depth_picked"] == 0.0
    assert row["ours"]["first_action_above"]["to ball"] == pytest.approx(1.0)


def test_the_first_action_is_that_of_figure_8() -> None:
    for rs, action in slots.PUBLISHED["first_action_at_rs"].items():
        assert slots.first(SlotMachines(float(rs)))["likeliest"] == action


def test_a_row_made_anew_leaves_the_others_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sources.json"
    out.write_text(json.dumps({"rows": {"kept": {"ours": 1}}}))
    monkeypatch.setattr(sys, "argv", ["sources", "--rows", "maze-ways", "--seed", "3", "--out", str(out)])

    command.main()

    written = json.loads(out.read_text())
    assert written["rows"]["kept"] == {"ours": 1}
    assert {"command", "commit", "hardware", "seeds", "citation", "published"} <= written["rows"][
        "maze-ways"
    ].keys()
    assert written["rows"]["maze-ways"]["seeds"] == [3]


def test_every_committed_row_says_what_was_printed_and_what_came_out() -> None:
    path = Path(__file__).parents[1] / "eval" / "results" / "sources.json"

    rows = json.loads(path.read_text())["rows"]

    assert rows.keys() == command.ROWS.keys()
    for row in rows.values():
        assert {
            "figure",
            "citation",
            "published",
            "ours",
            "seeds",
            "command",
            "commit",
            "hardware",
        } <= row.keys()
        assert "https://" in row["citation"]

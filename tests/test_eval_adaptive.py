"""Adaptive budgets against fixed ones of the same mean: what is compared, and that one command does it."""

import json
import sys
from pathlib import Path

import pytest

from arr_coc.eval import adaptive


def test_one_command_learns_needs_and_compares_equal_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptive, "MEANS", (8,))
    monkeypatch.setattr(adaptive, "ALPHAS", (0.5,))
    words = ["adaptive", "--limit", "6", "--prompts", "20", "--runs", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", [*words, "--out", str(tmp_path / "adaptive.json")])

    adaptive.main()

    found = json.loads((tmp_path / "adaptive.json").read_text())
    (held,) = found["held"]
    won, lost = held["won"], held["lost"]
    assert held["difference"] == pytest.approx((won - lost) / found["n"])
    assert held["accuracy"][0] - held["accuracy"][1] == pytest.approx(held["difference"])
    assert 0 < held["kept"] < 576
    (bound,) = found["bounds"]
    assert (bound["alpha"], found["n"]) == (0.5, 6)
    assert 0 <= bound["differs"] <= 1
    assert {"command", "commit", "seed", "hardware"} <= found.keys()

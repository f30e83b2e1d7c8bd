"""The agent's bench, on its smallest case: bookkeeping, not speed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from arr_coc.agent.planning import Plan, infer_policies
from arr_coc.eval.bench import agent
from arr_coc.eval.bench.agent_cases import CASES, PROBLEMS, Problem
from arr_coc.eval.bench.limits import Counted, Rates

SMALL = Problem("small", (3, 2), (4,), (2, 2), 2)


def test_every_case_has_a_row_beside_the_peer_and_what_is_done_is_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("pymdp", reason="the peer is the extra `bench`: inferactively-pymdp")
    monkeypatch.setitem(PROBLEMS, "1,000 policies", SMALL)
    monkeypatch.setattr(Rates, "measure", lambda: Rates(100.0, 1.0, 10.0, 0.1))
    saved: list[int] = []

    results = agent.measure(
        rounds=2, cases=[("1,000 policies", 2)], million=False, modes=("eager",),
        save=lambda found: saved.append(len(found["rows"])),
    )  # fmt: skip

    assert [row["case"] for row in results["rows"]] == [
        "small, batch 2",
        "state inference: 2 factors, batch 2",
    ]
    assert saved == [1, 2]
    for row in results["rows"]:
        assert row["peer"] == "pymdp"
        assert row["speedup_vs_pymdp"] == row["peer_ms"] / row["ours_ms"]
        assert row["ours_ms"] == min(ms for who, ms in row["all_ms"].items() if who.startswith("ours"))
    assert results["rows"][0]["largest_difference"] < 1e-5
    assert 0 < results["rows"][0]["limit_ms"] < results["rows"][0]["ours_ms"]
    assert {"command", "commit", "seed", "hardware"} <= set(results)


def test_multiplications_and_logarithms_are_those_of_the_tree() -> None:
    problem = PROBLEMS["1,000 policies"]
    plan = Plan.of(problem.model(0), problem.policies(0))

    with torch.no_grad(), Counted() as counted:
        infer_policies(plan, problem.beliefs(1, 0))

    # Beliefs of two levels, outcomes of those with one linear column each, then the last level fused.
    beliefs, outcomes, fused = (1 + 10) * 640 * 64, (10 + 100) * 64 * 101, 100 * 64 * 1010
    assert counted.multiplications == beliefs + outcomes + fused
    assert counted.logarithms == 1110 * 100


def test_the_limit_is_the_slower_of_arithmetic_and_memory_and_then_logarithms() -> None:
    rates = Rates(gflops=2.0, log_ns=1.0, gigabytes=1.0, call_us=3.0)

    assert rates.limit_ms(Counted(10**9, 0, 0)) == pytest.approx(1000.0)
    assert rates.limit_ms(Counted(10**9, 10**9, 3 * 10**9)) == pytest.approx(4000.0)
    assert rates.limit_ms(Counted(calls=1000), called=True) == pytest.approx(3.0)


def test_a_table_is_read_for_every_single_row_and_else_once_if_it_is_large() -> None:
    small, large = torch.rand(8, 4), torch.rand(2**18, 8)

    with torch.no_grad(), Counted() as counted:
        for _ in range(2):
            torch.rand(1, 4) @ small.T
            torch.rand(3, 4) @ small.T
            torch.rand(3, 8) @ large.T

    assert counted.bytes == 2 * small.nbytes + large.nbytes


def test_a_million_policies_take_less_than_two_gigabytes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "arr_coc.eval.bench.million"],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )

    found = json.loads(done.stdout.splitlines()[-1])

    assert found["policies"] == 1_000_000
    assert found["peak_mb"] < 2000


def test_the_cases_are_those_of_the_issue() -> None:
    sizes = {name: len(problem.policies(0)) for name, problem in PROBLEMS.items()}

    assert sizes == {
        "1,000 policies": 1000, "10,000 policies": 10_000, "sampled": 1000, "unrelated": 1000,
        "4 factors": 1024, "2 controls": 1024,
    }  # fmt: skip
    assert len(set(CASES)) == len(CASES) == 9


def test_an_installed_package_asks_where_the_figures_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(agent, "source_folder", lambda: None)

    assert agent.place(tmp_path / "a.json") == tmp_path / "a.json"
    with pytest.raises(ValueError, match=r"--out agent\.json"):
        agent.place(None)


def test_cases_are_chosen_by_a_part_of_their_name() -> None:
    assert agent.chosen(()) == CASES
    assert agent.chosen(("unrelated", "10,000")) == (
        ("10,000 policies", 1), ("unrelated", 1), ("unrelated", 64),
    )  # fmt: skip
    with pytest.raises(ValueError, match="no case has chess in its name"):
        agent.chosen(("chess",))

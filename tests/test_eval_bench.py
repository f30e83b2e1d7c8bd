"""The bench, on a decoder so small that only its bookkeeping is measured."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arr_coc.eval.bench import hook, prefill, sweep
from arr_coc.eval.bench.random_llava import RandomLlava
from arr_coc.eval.config import RunConfig
from tests.tiny_llava import folder

RESULTS = Path(__file__).parents[1] / "eval" / "results"
SMALL = RandomLlava(layers=1, dim=32, hidden=32, heads=2, vocabulary=64)


def test_every_method_is_measured_beside_the_full_prefill() -> None:
    results = prefill.measure(["efe", "stride"], budget=64, repeats=2, llava=SMALL)

    assert [row["case"] for row in results["rows"]] == ["efe 64 of 576", "stride 64 of 576"]
    for row in results["rows"]:
        assert row["peer"] == "full"
        assert row["speedup_vs_full"] == row["peer_ms"] / row["ours_ms"]
        assert 0 < row["limit_ms"] < row["peer_ms"] <= row["peer_model_ms"]
        assert row["select_ms"] < row["ours_ms"] <= row["model_ms"]
    assert {"command", "commit", "seed", "hardware"} <= set(results)
    assert results["merging"] == []


def test_what_merging_adds_is_measured_over_the_same_method_without_it() -> None:
    methods = ["efe", "efe+merge+ln_n", "stride+merge"]

    results = prefill.measure(methods, budget=64, repeats=3, llava=SMALL)

    assert [row["case"] for row in results["rows"]] == [f"{name} 64 of 576" for name in methods]
    (row,) = results["merging"]
    full_ms, plain_ms = results["rows"][0]["peer_ms"], results["rows"][0]["ours_ms"]
    assert row["case"] == "efe+merge+ln_n over efe"
    assert row["limit_ms"] == 0.03 * full_ms
    assert row["ours_ms"] == pytest.approx(row["share"] * full_ms)
    assert row["ours_ms"] == pytest.approx(row["share_of_pruned"] * plain_ms)


def test_the_hooks_are_timed_without_what_the_allocator_takes() -> None:
    results = hook.measure(rounds=2, llava=SMALL)

    assert [row["case"] for row in results["rows"]] == list(hook.CASES)[1:]
    for row in results["rows"]:
        assert 0 < row["hook_ms"] < row["ours_ms"]
        assert row["hook_ratio"] == row["hook_ms"] / row["peer_ms"]


def test_the_hooks_take_less_than_two_percent_of_a_full_prefill() -> None:
    rows = json.loads((RESULTS / "bench" / "hook.json").read_text())["rows"]

    assert [row["hook_ms"] < row["limit_ms"] for row in rows] == [True, True]


def test_the_decoder_of_the_bench_has_about_300_million_parameters() -> None:
    llava = RandomLlava()

    parameters = (
        llava.layers * (4 * llava.dim**2 + 3 * llava.dim * llava.hidden) + llava.vocabulary * llava.dim
    )

    assert 290e6 < parameters < 330e6


def test_the_reference_is_not_a_method() -> None:
    with pytest.raises(ValueError, match="leave out `full`"):
        prefill.measure(["full"], llava=SMALL)


def test_an_installed_package_asks_where_the_figures_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prefill, "source_folder", lambda: None)

    assert prefill.place(tmp_path / "p.json") == tmp_path / "p.json"
    with pytest.raises(ValueError, match=r"--out prefill\.json"):
        prefill.place(None)


def test_one_pass_over_the_data_answers_as_separate_passes_do() -> None:
    config = RunConfig(model=str(folder()), methods=("stride", "random"), budgets=(16, 0.05), limit=4)

    results = sweep.measure(config)

    assert results["same_answers"]
    with_references, without = results["rows"]
    assert with_references["peer_cpu_s"] > without["peer_cpu_s"]
    assert with_references["speedup_vs_separate"] == with_references["peer_ms"] / with_references["ours_ms"]


def test_answers_that_differ_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RunConfig(model=str(folder()), methods=("stride",), budgets=(16,), limit=2)
    run, calls = sweep._run, []

    def forgetful(*given: Any) -> sweep.Pass:
        found = run(*given)
        calls.append(found)
        if len(calls) == 3:  # the first pass with one setting
            found = replace(found, samples=[replace(s, answer="other") for s in found.samples])
        return found

    monkeypatch.setattr(sweep, "_run", forgetful)

    assert not sweep.measure(config)["same_answers"]

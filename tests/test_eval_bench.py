"""The bench, on a decoder so small that only its bookkeeping is measured."""

import json
from pathlib import Path

import pytest

from arr_coc.eval.bench import hook, prefill
from arr_coc.eval.bench.random_llava import RandomLlava

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

"""An evaluation end to end on a tiny model: what it writes, and that a kill costs nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arr_coc.eval.config import RunConfig
from arr_coc.eval.run import evaluate, total
from arr_coc.scorers import SCORERS
from tests.stubs import ByAttention
from tests.tiny_llava import folder


def config(out: Path, **changes: Any) -> RunConfig:
    settings = {
        "methods": ("efe", "stride+ln_n"),
        "budgets": (1.0, 0.05, 16),
        "limit": 5,
        "batch_size": 2,
        "examples": 0,
    }
    return RunConfig(model=str(folder()), out=str(out), **(settings | changes))  # type: ignore[arg-type]


def answers(out: Path) -> dict[tuple[Any, ...], str]:
    lines = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    found = {(s["method"], s["budget"], s["id"]): s["answer"] for s in lines}
    assert len(found) == len(lines)
    return found


def test_a_run_writes_what_the_contract_names(tmp_path: Path) -> None:
    results = evaluate(config(tmp_path))

    assert {path.name for path in tmp_path.iterdir()} == {
        ".lock", "config.yaml", "samples.jsonl", "timings.jsonl", "results.json", "report.html", "report.md",
        "accuracy_vs_tokens.png",
    }  # fmt: skip
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert [(row["method"], row["budget"]) for row in results["rows"]] == [
        ("blind", 0), ("full", 1.0), ("efe", 0.05), ("efe", 16), ("stride+ln_n", 0.05), ("stride+ln_n", 16),
    ]  # fmt: skip
    assert {row["n"] for row in results["rows"]} == {5}
    assert [row["kept_tokens"] for row in results["rows"]] == [0, 576, 29, 16, 29, 16]
    assert all(row["prefill_ms"] > row["select_ms"] >= 0 for row in results["rows"])
    assert {"command", "commit", "versions", "hardware", "threads"} <= set(results["environment"])


def test_a_budget_that_looks_at_the_scores_is_named_and_a_source_with_the_method(tmp_path: Path) -> None:
    results = evaluate(config(tmp_path, methods=("prumerge+received",), budgets=("iqr",), limit=3))

    row = results["rows"][2]
    assert (row["method"], row["budget"]) == ("prumerge+received", "iqr")
    assert 1 <= row["kept_tokens"] < 576
    assert row["failed"] == 0


def test_the_cache_holds_two_numbers_a_layer_channel_and_token_that_was_seen(tmp_path: Path) -> None:
    blind, full, *_ = evaluate(config(tmp_path, limit=1, batch_size=1))["rows"]

    assert (
        full["kv_bytes"] - blind["kv_bytes"] == 576 * 2 * 2 * 16 * 4
    )  # tokens, k and v, layers, channels, float32


def test_what_is_dropped_between_layers_is_in_the_record_the_cache_and_the_table(tmp_path: Path) -> None:
    blind, _, fastv = evaluate(config(tmp_path, methods=("fastv",), budgets=(400,), limit=1, batch_size=1))[
        "rows"
    ]

    line = json.loads((tmp_path / "samples.jsonl").read_text().splitlines()[-1])
    assert (line["by_layer"], line["kept"], line["token_layers"]) == ([576, 224], 400, 800)
    assert (fastv["kept_tokens"], fastv["keep_ratio"]) == (400, 400 / 576)
    assert fastv["kv_bytes"] - blind["kv_bytes"] == 800 * 2 * 16 * 4


def test_a_glimpse_counts_as_tokens_and_words_that_were_read_and_not_in_the_cache(tmp_path: Path) -> None:
    settings = {"methods": ("saccade",), "budgets": (400,), "limit": 1, "batch_size": 1}
    blind, _, saccade = evaluate(config(tmp_path, **settings))["rows"]

    first, *_, line = map(json.loads, (tmp_path / "samples.jsonl").read_text().splitlines())
    # A fifth of 2 x 400: 80 in two layers; then what is left, 320.
    assert (line["by_layer"], line["kept"], line["token_layers"]) == (None, 400, 800)
    assert line["words"] == 2 * first["words"]
    assert saccade["kv_bytes"] - blind["kv_bytes"] == 320 * 2 * 2 * 16 * 4


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    evaluate(config(tmp_path / "whole"))
    expected = answers(tmp_path / "whole")
    out = tmp_path / "killed"
    seen: list[int] = []

    def kill(done: int, what: str) -> None:
        seen.append(done)
        if sum(seen) > 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(config(out), kill)
    torn = (out / "samples.jsonl").read_bytes()
    (out / "samples.jsonl").write_bytes(torn[:-25])
    resumed: list[int] = []
    evaluate(config(out), lambda done, what: resumed.append(done))

    assert answers(out) == expected
    assert resumed[0] == sum(seen) - 1
    assert sum(resumed) == total(config(out)) == len(expected)


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first = evaluate(config(tmp_path, limit=2))
    before = (tmp_path / "samples.jsonl").read_bytes()

    again = evaluate(config(tmp_path, limit=2))

    assert (tmp_path / "samples.jsonl").read_bytes() == before
    assert again["rows"] == first["rows"]


def test_a_changed_configuration_does_not_go_on_in_the_same_folder(tmp_path: Path) -> None:
    evaluate(config(tmp_path, limit=1))

    with pytest.raises(ValueError, match="with limit: 1, this one has 2"):
        evaluate(config(tmp_path, limit=2))


def test_sharing_the_encoded_pictures_changes_no_answer(tmp_path: Path) -> None:
    evaluate(config(tmp_path / "shared", share_vision=True))
    evaluate(config(tmp_path / "apart", share_vision=False))

    assert answers(tmp_path / "shared") == answers(tmp_path / "apart")


def test_an_item_is_answered_alike_in_any_batch(tmp_path: Path) -> None:
    evaluate(config(tmp_path / "one", batch_size=1))
    evaluate(config(tmp_path / "five", batch_size=5))

    assert answers(tmp_path / "one") == answers(tmp_path / "five")


def test_a_task_without_end_asks_for_a_limit_before_it_loads_a_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give a limit"):
        evaluate(RunConfig(model="no/such-model", limit=None, out=str(tmp_path)))


def test_a_method_that_reads_the_vision_tower_can_share_its_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCORERS._parts, "by_attention", ByAttention)
    shared = config(tmp_path / "shared", methods=("by_attention", "efe"), budgets=(16,), limit=2)
    evaluate(shared)

    evaluate(replace(shared, share_vision=False, out=str(tmp_path / "each")))

    assert answers(tmp_path / "shared") == answers(tmp_path / "each")

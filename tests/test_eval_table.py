"""Rows and paired differences of samples whose truth is known."""

from dataclasses import replace

import pytest

from arr_coc.eval.flops import DecoderShape
from arr_coc.eval.samples import Sample
from arr_coc.eval.table import compare, grouped, paired, rows
from tests.test_eval_samples import ONE

SHAPE = DecoderShape(layers=2, dim=8, hidden=16, heads=2, kv_heads=2, head_dim=4, vocabulary=10)
SETTINGS = [("blind", 0), ("full", 1.0), ("efe", 0.11), ("random", 0.11)]


def sampled(right: dict[str, int], n: int = 20) -> list[Sample]:
    """n items; each method is right on its first so many."""
    kept = {"blind": 0, "full": 576}
    return [
        replace(
            ONE, id=f"{i:03d}", picture=f"{i:03d}", method=method, budget=budget,
            score=float(i < right[method]), kept=kept.get(method, 63), kind="even" if i % 2 == 0 else "odd",
        )
        for method, budget in SETTINGS
        for i in range(n)
    ]  # fmt: skip


def test_a_row_has_the_keys_of_the_contract_and_the_figures_of_its_samples() -> None:
    groups = grouped(sampled({"blind": 4, "full": 20, "efe": 16, "random": 8}), SETTINGS)

    row = rows(groups, SHAPE)[2]

    assert row["method"] == "efe"
    assert (row["n"], row["accuracy"], row["blind_accuracy"], row["relative_accuracy"]) == (20, 0.8, 0.2, 0.8)
    assert row["above_blind"] == pytest.approx(0.75)
    assert row["ci95"][0] < 0.8 < row["ci95"][1]
    assert (row["kept_tokens"], row["keep_ratio"]) == (63, 63 / 576)
    assert row["prefill_flops"] == SHAPE.prefill_flops(63 + ONE.words)
    assert {kind: found["accuracy"] for kind, found in row["by_kind"].items()} == {"even": 0.8, "odd": 0.8}


def test_the_order_in_which_samples_came_makes_no_difference() -> None:
    samples = sampled({"blind": 4, "full": 20, "efe": 16, "random": 8})

    one, other = grouped(samples, SETTINGS), grouped(samples[::-1], SETTINGS)

    assert rows(one, SHAPE) == rows(other, SHAPE)
    assert paired(one, 0) == paired(other, 0)


def test_methods_are_paired_with_efe_at_the_same_budget_without_the_references() -> None:
    (pair,) = paired(grouped(sampled({"blind": 4, "full": 20, "efe": 16, "random": 8}), SETTINGS), seed=0)

    assert (pair["method"], pair["versus"], pair["budget"], pair["n"]) == ("efe", "random", 0.11, 20)
    assert pair["difference"] == pytest.approx(0.4)
    assert 0 < pair["ci95"][0] < 0.4 < pair["ci95"][1]


def test_a_run_that_is_not_finished_cannot_be_paired() -> None:
    groups = grouped(sampled({"blind": 4, "full": 20, "efe": 16, "random": 8})[:-1], SETTINGS)

    with pytest.raises(ValueError, match="different items"):
        compare(groups["efe", 0.11], groups["random", 0.11], 0)


def test_a_model_that_is_never_right_has_no_relative_accuracy() -> None:
    row = rows(grouped(sampled(dict.fromkeys(("blind", "full", "efe", "random"), 0)), SETTINGS), SHAPE)[2]

    assert row["relative_accuracy"] is None
    assert row["above_blind"] is None

"""Rows and paired differences of samples whose truth is known."""

from dataclasses import replace

import pytest

from arr_coc.eval.flops import DecoderShape
from arr_coc.eval.samples import Sample
from arr_coc.eval.table import compare, failures, grouped, paired, rows
from arr_coc.eval.tasks.scene_vqa import SceneVQA
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

    row = rows(groups, SHAPE, SceneVQA())[2]

    assert row["method"] == "efe"
    assert (row["n"], row["accuracy"], row["blind_accuracy"], row["relative_accuracy"]) == (20, 0.8, 0.2, 0.8)
    assert row["above_blind"] == pytest.approx(0.75)
    assert row["ci95"][0] < 0.8 < row["ci95"][1]
    assert (row["kept_tokens"], row["keep_ratio"]) == (63, 63 / 576)
    assert row["token_layers"] is None
    assert row["prefill_flops"] == SHAPE.prefill_flops(63 + ONE.words)
    assert {kind: found["accuracy"] for kind, found in row["by_kind"].items()} == {"even": 0.8, "odd": 0.8}


def test_token_layers_are_averaged_where_all_samples_have_them() -> None:
    samples = sampled({"blind": 4, "full": 20, "efe": 16, "random": 8})
    counted = [replace(s, token_layers=2 * s.kept + 4 * (s.id == "000")) for s in samples]

    row = rows(grouped(counted, SETTINGS), SHAPE, SceneVQA())[2]

    assert row["token_layers"] == pytest.approx(2 * 63 + 4 / 20)


def test_a_method_that_drops_between_layers_is_charged_for_every_layer() -> None:
    samples = sampled({"blind": 4, "full": 20, "efe": 16, "random": 8})
    deep = [
        replace(s, kept=301.0, by_layer=[576, 26], token_layers=602) if s.method == "efe" else s
        for s in samples
    ]

    row = rows(grouped(deep, SETTINGS), SHAPE, SceneVQA())[2]

    assert (row["kept_tokens"], row["token_layers"]) == (301, 602)
    flat = [SHAPE.prefill_flops(n + ONE.words) for n in (576, 26)]
    assert row["prefill_flops"] == sum(flat) / 2


def test_the_order_in_which_samples_came_makes_no_difference() -> None:
    samples = sampled({"blind": 4, "full": 20, "efe": 16, "random": 8})

    one, other = grouped(samples, SETTINGS), grouped(samples[::-1], SETTINGS)

    assert rows(one, SHAPE, SceneVQA()) == rows(other, SHAPE, SceneVQA())
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
    row = rows(
        grouped(sampled(dict.fromkeys(("blind", "full", "efe", "random"), 0)), SETTINGS), SHAPE, SceneVQA()
    )[2]

    assert row["relative_accuracy"] is None
    assert row["above_blind"] is None


def test_a_row_says_how_well_the_form_was_kept_and_how_sure_everything_is() -> None:
    samples = sampled({"blind": 4, "full": 20, "efe": 16, "random": 8})
    wordy = [
        replace(s, answer="what a nice picture this is " * 5) if s.method == "efe" and s.id < "005" else s
        for s in samples
    ]

    row = rows(grouped(wordy, SETTINGS), SHAPE, SceneVQA())[2]

    assert row["compliance"] == 0.75
    assert row["standard_error"] == pytest.approx((0.8 * 0.2 / 19) ** 0.5)
    assert row["above_blind_ci95"][0] < row["above_blind"] < row["above_blind_ci95"][1]
    assert row["summary"]["accuracy"] == row["headline_value"] == 0.8
    assert row["headline_ci95"][0] < 0.8 < row["headline_ci95"][1]


def test_an_item_that_cannot_be_asked_once_is_left_out_of_every_setting() -> None:
    samples = sampled({"blind": 4, "full": 20, "efe": 16, "random": 8})
    torn = [
        replace(s, error="item: torn", score=0.0) if (s.method, s.id) == ("efe", "003") else s
        for s in samples
    ]

    groups = grouped(torn, SETTINGS)

    assert {len(group) for group in groups.values()} == {19}
    assert failures(torn) == {"items": 1, "answers": 0, "reasons": {"item: torn": 1}}


def test_a_model_that_failed_is_wrong_and_counted() -> None:
    samples = sampled({"blind": 4, "full": 20, "efe": 16, "random": 8})
    broken = [
        replace(s, error="model: oops", score=0.0) if (s.method, s.id) == ("efe", "003") else s
        for s in samples
    ]

    row = rows(grouped(broken, SETTINGS), SHAPE, SceneVQA())[2]

    assert (row["n"], row["failed"], row["accuracy"]) == (20, 1, 0.75)
    assert failures(broken) == {"items": 0, "answers": 1, "reasons": {"model: oops": 1}}


def test_nothing_is_said_about_a_run_in_which_no_item_could_be_asked() -> None:
    with pytest.raises(ValueError, match="no item could be asked: item: torn"):
        grouped([replace(ONE, error="item: torn")], [("efe", 0.11)])

"""Tests of differences against scipy, closed forms and exact laws."""

from math import comb

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import sem, ttest_rel

from arr_coc.eval.significance import clustered_error, clustered_p, holm, jackknife, mcnemar
from arr_coc.eval.stats import Z95, share_kept

RNG = np.random.default_rng(0)
OURS, THEIRS = RNG.integers(0, 2, 90).astype(float), RNG.integers(0, 2, 90).astype(float)
EACH = [str(i) for i in range(90)]


def test_mcnemar_is_a_sign_test_on_the_items_that_differ() -> None:
    ours = np.array([1.0] * 7 + [0.0] * 2 + [1.0] * 30)
    theirs = np.array([0.0] * 7 + [1.0] * 2 + [1.0] * 30)

    expected = 2 * sum(comb(9, k) for k in range(3)) / 2**9

    assert mcnemar(ours, theirs) == pytest.approx(expected)
    assert mcnemar(ours, theirs) == mcnemar(theirs, ours)


def test_methods_that_never_differ_are_not_told_apart() -> None:
    assert mcnemar(OURS, OURS) == 1.0
    assert clustered_p(OURS - OURS, EACH) == 1.0


def test_partial_scores_have_no_mcnemar_test() -> None:
    assert mcnemar(np.array([0.3, 1.0]), np.array([1.0, 0.0])) is None


def test_without_shared_pictures_the_error_is_the_usual_one() -> None:
    assert_allclose(clustered_error(OURS, EACH), sem(OURS))
    assert_allclose(clustered_p(OURS - THEIRS, EACH), ttest_rel(OURS, THEIRS).pvalue)


@pytest.mark.parametrize("copies", [2, 3])
def test_asking_the_same_picture_again_makes_nothing_more_certain(copies: int) -> None:
    again, pictures = np.repeat(OURS - THEIRS, copies), [p for p in EACH for _ in range(copies)]

    assert_allclose(clustered_error(again, pictures), clustered_error(OURS - THEIRS, EACH))
    assert_allclose(clustered_p(again, pictures), clustered_p(OURS - THEIRS, EACH))


def test_one_picture_says_nothing() -> None:
    assert clustered_error(OURS, ["one"] * 90) == float("inf")
    assert clustered_p(np.ones(90), ["one"] * 90) == 1.0


def test_holm_multiplies_the_smallest_most_and_keeps_the_order() -> None:
    assert_allclose(holm([0.01, 0.04, 0.03, 0.5]), [0.04, 0.09, 0.09, 0.5])
    assert holm([0.04]) == [0.04]
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_jackknife_of_a_mean_with_a_group_for_each_picture_is_the_usual_error() -> None:
    estimate = jackknife(list(OURS), EACH, lambda part: float(np.mean(part)), groups=90)

    assert_allclose(estimate.high - estimate.mean, Z95 * sem(OURS))


def test_the_jackknife_of_few_groups_is_about_right_for_a_ratio() -> None:
    x = np.random.default_rng(1).normal(2.0, 1.0, 2000)
    items = list(enumerate(x))

    estimate = jackknife(
        items, [str(i) for i, _ in items], lambda part: float(np.mean([v for _, v in part])) ** 2
    )

    assert_allclose(estimate.high - estimate.mean, Z95 * 2 * x.mean() * sem(x), rtol=0.25)


def test_the_share_of_full_is_one_and_of_blind_is_zero_and_both_are_certain() -> None:
    full, blind = np.ones(60), (np.arange(60) % 3 == 0).astype(float)
    items = [str(i) for i in range(60)]

    top, bottom = share_kept(full, full, blind, items), share_kept(blind, full, blind, items)

    assert top is not None
    assert bottom is not None
    assert (top.mean, top.low, top.high) == (1.0, 1.0, 1.0)
    assert (bottom.mean, bottom.low, bottom.high) == (0.0, 0.0, 0.0)


def test_where_looking_is_worth_nothing_there_is_no_share() -> None:
    assert share_kept(OURS, OURS, OURS, EACH) is None

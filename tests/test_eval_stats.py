"""Intervals against closed forms and exact laws."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binomtest

from arr_coc.eval.stats import Z95, accuracy, paired_difference, wilson


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (3, 7), (150, 300), (299, 300)])
def test_wilson_agrees_with_scipy(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")

    ours = wilson(right / n, n)

    assert_allclose([ours.low, ours.high], [expected.low, expected.high], atol=1e-12)


def test_wilson_of_no_success_ends_at_its_closed_form() -> None:
    assert_allclose(wilson(0.0, 20).high, Z95**2 / (20 + Z95**2))


def test_an_interval_without_items_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        wilson(0.5, 0)


@pytest.mark.parametrize("copies", [2, 5])
def test_asking_the_same_picture_again_adds_no_certainty(copies: int) -> None:
    scores = np.array([1.0, 0, 1, 1, 0, 1, 0, 1])
    pictures = [f"picture {i}" for i in range(8)]

    once = accuracy(scores, pictures)
    again = accuracy(np.repeat(scores, copies), [p for p in pictures for _ in range(copies)])

    assert_allclose([again.low, again.high], [once.low, once.high])


def test_where_all_answers_are_right_pictures_are_counted() -> None:
    assert accuracy(np.ones(12), ["a", "b", "c"] * 4) == wilson(1.0, 3)


def test_a_difference_that_is_the_same_everywhere_is_certain() -> None:
    estimate = paired_difference(np.ones(50), np.zeros(50), [str(i) for i in range(50)])

    assert (estimate.mean, estimate.low, estimate.high) == (1.0, 1.0, 1.0)


def test_a_paired_difference_turns_its_sign_with_the_order() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, 80).astype(float), rng.integers(0, 2, 80).astype(float)
    items = [str(i) for i in range(80)]

    one, other = paired_difference(a, b, items), paired_difference(b, a, items)

    assert one.mean == -other.mean
    assert_allclose([one.low, one.high], [-other.high, -other.low], atol=1e-12)


def test_the_bootstrap_is_as_wide_as_the_normal_interval_of_many_items() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 2, 2000).astype(float), rng.integers(0, 2, 2000).astype(float)
    error = (a - b).std() / np.sqrt(2000)

    estimate = paired_difference(a, b, [str(i) for i in range(2000)])

    assert_allclose(estimate.high - estimate.low, 2 * Z95 * error, rtol=0.03)


def test_pairing_is_narrower_than_the_two_intervals_apart() -> None:
    rng = np.random.default_rng(2)
    theirs = rng.integers(0, 2, 500).astype(float)
    ours = np.where(rng.random(500) < 0.05, 1.0, theirs)  # better on a few items, the same elsewhere
    items = [str(i) for i in range(500)]

    estimate = paired_difference(ours, theirs, items)

    assert estimate.low > 0
    assert accuracy(ours, items).low < accuracy(theirs, items).high


def test_the_same_seed_gives_the_same_interval() -> None:
    a, b = np.arange(9) % 2.0, np.arange(9) % 3 / 2
    items = list("aabbccdde")

    assert paired_difference(a, b, items, seed=3) == paired_difference(a, b, items, seed=3)


def test_different_items_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same items"):
        paired_difference(np.ones(3), np.ones(3), ["a"] * 4)

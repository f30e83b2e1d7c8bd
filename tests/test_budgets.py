"""Every budget stays between nothing and everything; each keeps what its name says."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arr_coc.budgets import BUDGETS
from arr_coc.budgets.at_most import AtMost
from arr_coc.budgets.count import Count
from arr_coc.budgets.e_adaprune import EAdaPrune
from arr_coc.budgets.iqr import Iqr
from arr_coc.budgets.ratio import Ratio
from arr_coc.scorers import SCORERS
from arr_coc.types import Budget, Scores
from tests.pictures import alone, padded, picture_of, pictures

NOTHING = Scores(torch.zeros(3, 12))


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=5), keep_ratio=st.floats(1e-3, 1.0))
@settings(max_examples=50, deadline=None)
def test_a_ratio_keeps_its_share_rounded_and_one_token_at_least(counts: list[int], keep_ratio: float) -> None:
    these = pictures(counts)
    kept = Ratio(keep_ratio)(these, Scores(torch.zeros(these.valid.shape))).tokens
    assert kept.tolist() == [max(1, round(keep_ratio * n)) for n in counts]


def test_a_ratio_of_one_keeps_all() -> None:
    these = pictures([12, 5, 1])
    assert torch.equal(Ratio(1.0)(these, NOTHING).tokens, these.count)


def test_a_count_keeps_the_same_of_every_picture() -> None:
    assert Count(4)(pictures([12, 5, 4]), NOTHING).tokens.tolist() == [4, 4, 4]


def test_a_count_above_the_tokens_of_a_picture_says_how_many_there_are_and_the_way_out() -> None:
    with pytest.raises(
        ValueError, match=r"budget=6 .* 5 visual tokens that picture 0 of row 1 .* budget=1\.0 keeps all"
    ):
        Count(6)(pictures([12, 5, 7]), NOTHING)


@pytest.mark.parametrize("tokens", [0, -3, True])
def test_a_count_is_one_at_least(tokens: int) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Count(tokens)


@pytest.mark.parametrize("keep_ratio", [0.0, -0.5, 1.5, float("nan")])
def test_a_ratio_lies_between_nothing_and_all(keep_ratio: float) -> None:
    with pytest.raises(ValueError, match=r"keep_ratio must lie in \(0, 1\]"):
        Ratio(keep_ratio)


def test_outliers_of_the_scores_are_counted_and_one_token_for_the_rest() -> None:
    # Quartiles 1 and 1: two values stand out. Then 1 to 4: Q1 = 1.75, Q3 = 3.25, so above 5.5: none.
    values = torch.tensor([[1, 1, 1, 1, 1, 1, 9, 1, 1.1, 1], [1, 2, 3, 4, *[99.0] * 6]])
    assert Iqr()(pictures([10, 4]), Scores(values)).tokens.tolist() == [3, 1]
    assert Iqr(rest=0)(pictures([10, 4]), Scores(values)).tokens.tolist() == [2, 1]


def test_spectral_energy_is_held_by_as_many_tokens_as_it_takes() -> None:
    # Squares 9, 4, 1 of 14: one holds 0.64, two 0.93, and the padding of a picture of two tokens nothing.
    three, two = picture_of([[3, 0, 0], [0, 2, 0], [0, 0, 1.0]]), picture_of([[0, 2, 0], [0, 0, 1.0]])
    nothing = Scores(torch.zeros(1, 3))
    assert [EAdaPrune(energy)(three, nothing).tokens.item() for energy in (0.6, 0.9, 0.95, 1.0)] == [
        1,
        2,
        3,
        3,
    ]
    assert EAdaPrune(0.7)(padded(two, 3), nothing).tokens.item() == 1


def test_spectral_energy_is_measured_whatever_the_picture_beside_it() -> None:
    these = pictures([20, 7, 33])
    kept = EAdaPrune()(these, Scores(torch.zeros(3, 33))).tokens
    each = [EAdaPrune()(alone(these, i), NOTHING).tokens.item() for i in range(3)]
    assert kept.tolist() == each


def test_at_most_keeps_all_of_a_picture_that_has_fewer() -> None:
    assert AtMost((4, 9, 5))(pictures([12, 5, 5]), NOTHING).tokens.tolist() == [4, 5, 5]
    with pytest.raises(ValueError, match="tokens holds 2 numbers"):
        AtMost((4, 9))(pictures([12, 5, 5]), NOTHING)


@pytest.mark.parametrize(
    ("budget", "value"), [(AtMost, ()), (AtMost, (4, 0)), (EAdaPrune, 0.0), (EAdaPrune, 1.1)]
)
def test_a_budget_without_sense_is_refused(budget: Any, value: object) -> None:
    with pytest.raises(ValueError, match=r"tokens must hold|energy must lie"):
        budget(value)


@pytest.mark.parametrize(
    "name", [name for name in BUDGETS if name not in ("count", "ratio", "at_most", "auto", "shared")]
)
def test_an_adaptive_budget_stays_between_one_and_all(name: str) -> None:
    these = pictures([20, 7, 1])
    kept = BUDGETS[name]()(these, SCORERS["fastervlm"]()(these)).tokens
    assert ((kept >= 1) & (kept <= these.count)).all()


def test_fixed_budgets_are_budgets_that_declare_it() -> None:
    for budget in (Count(3), Ratio(0.5)):
        assert isinstance(budget, Budget)
        assert budget.fixed
    assert {"count", "ratio"} <= set(BUDGETS)

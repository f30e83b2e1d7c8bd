"""Every budget stays between nothing and everything; each keeps what its name says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arr_coc.budgets import BUDGETS
from arr_coc.budgets.count import Count
from arr_coc.budgets.ratio import Ratio
from arr_coc.types import Budget, Scores
from tests.pictures import pictures

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


def test_fixed_budgets_are_budgets_that_declare_it() -> None:
    for budget in (Count(3), Ratio(0.5)):
        assert isinstance(budget, Budget)
        assert budget.fixed
    assert {"count", "ratio"} <= set(BUDGETS)

"""A budget shared by the pictures of a prompt: the best split of all, and what it may not depend on."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from arr_coc.allocate import Allocator
from arr_coc.budgets.auto import Auto
from arr_coc.budgets.count import Count
from arr_coc.budgets.ratio import Ratio
from arr_coc.budgets.shared import Shared, concave, water_filled
from arr_coc.climb import Walked, climb, walked
from arr_coc.scorers import SCORERS
from arr_coc.scorers.efe import ExpectedFreeEnergy
from arr_coc.types import Pictures, Scores, SetFunction
from tests.contexts import context
from tests.pictures import pictures

STEPWISE = [name for name in SCORERS if SCORERS[name]()(pictures([4, 3])).of_sets is not None]
CHOOSING = [name for name in SCORERS if SCORERS[name]()(pictures([4, 3])).chooser is not None]


def prompts(rows: list[list[int]], seed: int = 0) -> Pictures:
    """Rows of pictures of so many tokens."""
    these = pictures([n for row in rows for n in row], seed=seed)
    row = torch.tensor([i for i, row in enumerate(rows) for _ in row])
    return replace(these, row=row, nth=torch.cat([torch.arange(len(row)) for row in rows]))


def splits(most: Tensor, total: int) -> list[tuple[int, ...]]:
    ranges = product(*(range(1, int(m) + 1) for m in most))
    return [split for split in ranges if sum(split) == total]


def worth(gains: Tensor, split: tuple[int, ...]) -> float:
    return sum(float(curve[:k].sum()) for curve, k in zip(gains, split, strict=True))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_split_of_concave_curves_is_worth_more(data: st.DataObject) -> None:
    most = data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    total = data.draw(st.integers(len(most), sum(most)))
    draw = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    # Few different gains, so that there are equals.
    gains = torch.randint(0, 9, (len(most), 6), generator=draw).sort(1, descending=True).values.double()

    got = water_filled(gains, torch.tensor(most), total)

    best = max(worth(gains, split) for split in splits(torch.tensor(most), total))
    assert tuple(got.tolist()) in splits(torch.tensor(most), total)
    assert worth(gains, tuple(got.tolist())) == best


@pytest.mark.parametrize("seed", range(8))
def test_a_split_of_curves_that_bend_upwards_is_the_best_wherever_a_straight_piece_ends(seed: int) -> None:
    gains = torch.rand(3, 5, generator=torch.Generator().manual_seed(seed)).double()
    gains[:, 0] = 1.0  # as the first token of a picture adds much
    most, slopes = torch.tensor([5, 4, 5]), concave(gains)

    ends = 0
    for total in range(3, 15):
        got = water_filled(gains, most, total)
        inside = [k < m and slopes[i, k] == slopes[i, k - 1] for i, (k, m) in enumerate(zip(got, most))]  # noqa: B905
        if not any(inside):
            ends += 1
            best = max(worth(gains, split) for split in splits(most, total))
            assert worth(gains, tuple(got.tolist())) == pytest.approx(best)
    assert ends >= 3


def test_the_majorant_is_the_curve_where_it_bends_down_and_a_line_over_what_sags() -> None:
    # 4, 5, 8, 9 has a dent at 5: from 4 to 8 in two steps of 2.
    gains = torch.tensor([[4.0, 1, 3, 1], [3, 2, 2, 1], [4, 1, 3, -torch.inf]])
    expected = torch.tensor([[4.0, 2, 2, 1], [3, 2, 2, 1], [4, 2, 2, -torch.inf]])
    assert torch.equal(concave(gains.double()), expected.double())


def test_a_crowded_picture_gets_more_than_an_empty_one_beside_it() -> None:
    these = prompts([[30, 30]], seed=1)
    tokens = these.tokens.clone()
    tokens[1] = tokens[1, :1] + torch.arange(30)[:, None] * tokens[1, 1] / 30  # all on one line
    these = replace(these, tokens=tokens)

    got = Shared(8)(these, ExpectedFreeEnergy()(these)).tokens

    assert got.sum() == 16
    assert got[0] >= 3 * got[1]


@pytest.mark.parametrize("name", STEPWISE)
def test_what_is_kept_of_a_prompt_is_what_adds_most(name: str) -> None:
    these = prompts([[7, 5, 6], [9, 4]], seed=2)
    scores = SCORERS[name]()(these)
    got = Shared(3)(these, scores).tokens

    assert scores.of_sets is not None
    slopes = concave(climb(scores.of_sets, these.valid, these.count).gains.double().nan_to_num(-torch.inf))
    assert (got >= 1).all()
    for row, total in ((0, 9), (1, 6)):
        here = (these.row == row).nonzero()[:, 0]
        assert got[here].sum() == total
        last = min(float(slopes[i, got[i] - 1]) for i in here if got[i] > 1)
        following = [float(slopes[i, got[i]]) for i in here if got[i] < these.count[i]]
        assert max(following) <= last + 1e-6


@pytest.mark.parametrize("scorer", ["efe", "fastervlm", "pool"])
def test_one_picture_gets_what_a_fixed_budget_gives_it(scorer: str) -> None:
    these = pictures([20, 9, 14])
    scores = SCORERS[scorer]()(these)
    for mean, fixed in ((5, Count(5)), (0.3, Ratio(0.3)), (0.01, Ratio(0.01)), (1.0, Ratio(1.0))):
        assert torch.equal(Shared(mean)(these, scores).tokens, fixed(these, scores).tokens)


def test_rows_do_not_see_each_other_and_pictures_may_change_places() -> None:
    these = prompts([[12, 9, 15], [20, 6]], seed=4)
    scorer, order = ExpectedFreeEnergy(), torch.tensor([2, 0, 1, 4, 3])

    def part(order: Tensor) -> Pictures:
        fields = {name: value[order] for name, value in vars(these).items() if isinstance(value, Tensor)}
        return Pictures(**fields)

    together = Shared(4)(these, scorer(these)).tokens
    moved, first = part(order), part(torch.arange(3))

    assert torch.equal(Shared(4)(moved, scorer(moved)).tokens, together[order])
    assert torch.equal(Shared(4)(first, scorer(first)).tokens, together[:3])
    assert len(set(together.tolist())) > 2


def test_without_a_value_of_sets_the_highest_scores_of_a_prompt_are_kept() -> None:
    these = prompts([[4, 3], [4]])
    values = torch.tensor([[1.0, 9, 8, 7], [3, 2, 2, 99], [5, 5, 5, 5]])  # 99 is padding
    assert Shared(2)(these, Scores(values)).tokens.tolist() == [3, 1, 2]
    assert Shared(0.7)(these, Scores(values)).tokens.tolist() == [3, 2, 3]


@pytest.mark.parametrize("name", CHOOSING)
def test_a_scorer_that_chooses_in_its_own_way_is_refused(name: str) -> None:
    these = prompts([[8, 6]])
    with pytest.raises(ValueError, match=r"budget='shared' needs to know what a token adds.*'efe'"):
        Shared(3)(these, SCORERS[name]()(these))


@pytest.mark.parametrize("mean", [0, -1, 0.0, 1.5, True, float("nan")])
def test_a_mean_is_a_count_or_a_share(mean: float) -> None:
    with pytest.raises(ValueError, match="mean must be"):
        Shared(mean)


def test_a_mean_above_what_a_prompt_has_says_how_much_that_is_and_less_for_one_is_more_for_another() -> None:
    these = prompts([[9], [8, 2]])
    scores = ExpectedFreeEnergy()(these)
    with pytest.raises(ValueError, match=r"shared:6' .* 10 visual tokens that the 2 pictures of row 1 "):
        Shared(6)(these, scores)
    assert Shared(5)(these, scores).tokens.tolist() == [5, 8, 2]


@pytest.mark.parametrize("budget", [Shared(5), Auto(5)])
def test_a_budget_that_has_climbed_spares_the_selector_the_climb(budget: Shared | Auto) -> None:
    asked: list[Tensor] = []

    class Counting:
        def __init__(self, of_sets: SetFunction) -> None:
            self.of_sets = of_sets

        def gains(self) -> Tensor:
            asked.append(self.of_sets.gains())
            return asked[-1]

        def add(self, picked: Tensor) -> None:
            self.of_sets.add(picked)

    class Counted:
        selector = "greedy"

        def __call__(self, these: Pictures) -> Scores:
            scores = ExpectedFreeEnergy(epistemic="logdet")(these)
            assert scores.of_sets is not None
            return replace(scores, of_sets=Counting(scores.of_sets))

    prompt = context([[4, 24, 2, 18, 3], [3, 30, 2]], dim=12)

    got = Allocator(Counted(), budget)(prompt)

    longest = 9 if isinstance(budget, Shared) else 10  # what one of two may get of 2 x 5; a third of 30
    assert len(asked) == longest
    assert got.gains is not None
    assert got.gains.isfinite().sum() == got.budget.sum()


def test_a_walked_path_is_cut_off_where_it_is_long_enough_and_else_climbed_anew() -> None:
    these, other = pictures([14, 9], seed=6), pictures([14, 9], seed=6)
    of_sets = ExpectedFreeEnergy()(these).of_sets
    assert of_sets is not None
    path = walked(of_sets, these.valid, torch.tensor([8, 5]))

    for budget in ([3, 5], [8, 1], [9, 5], [0, 0]):
        for among in (these.valid, other.valid):
            fresh = climb(of_sets, among, torch.tensor(budget))
            cut = climb(path, among, torch.tensor(budget))
            assert torch.equal(cut.keep, fresh.keep)
            assert torch.equal(cut.order, fresh.order)
            assert torch.equal(cut.gains.nan_to_num(), fresh.gains.nan_to_num())
    assert isinstance(path, Walked)
    path.add(torch.tensor([0, 0]))
    of_sets.add(torch.tensor([0, 0]))
    assert torch.equal(path.gains(), of_sets.gains())

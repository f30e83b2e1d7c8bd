"""Law 7 for every scorer with every selector: deterministic, exact, equivariant, blind to neighbours."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from arr_coc.scorers import SCORERS
from arr_coc.select import SELECTORS
from arr_coc.types import Pictures, Scores, Selection
from tests.pictures import alone, padded, permuted, pictures, shuffle

SCORED = {name: SCORERS[name]()(pictures([4, 3])) for name in SCORERS}
FITS = {
    "greedy": {name for name, scores in SCORED.items() if scores.of_sets is not None},
    "own": {name for name, scores in SCORED.items() if scores.chooser is not None},
}
PAIRS = [(a, b) for a in SCORERS for b in SELECTORS if a in FITS.get(b, SCORED)]
MIXING = {name for name in SCORERS if getattr(SCORERS[name], "mixes_batch", False)}
every_pair = pytest.mark.parametrize(("scorer", "selector"), PAIRS)
every_selector = pytest.mark.parametrize("selector", SELECTORS)


def selected(scorer: str, selector: str, these: Pictures, budget: Tensor) -> Selection:
    return SELECTORS[selector]()(these, SCORERS[scorer]()(these), budget)


def is_positional(scorer: str, selector: str) -> bool:
    return getattr(SELECTORS[selector], "positional", False) or (
        getattr(SCORERS[scorer], "positional", False) and selector != "none"
    )


def agree(one: Selection, other: Selection, n: int, i: int, j: int) -> None:
    """Picture i of one selection is picture j of the other."""
    assert torch.equal(one.keep[i, :n], other.keep[j, :n])
    assert not other.keep[j, n:].any()
    assert not one.keep[i, n:].any()
    for ours, theirs in ((one.mass, other.mass), (one.merged, other.merged)):
        if ours is not None and theirs is not None:
            torch.testing.assert_close(ours[i, :n], theirs[j, :n], atol=1e-5, rtol=1e-5)
    if one.gains is not None and other.gains is not None:
        steps = min(one.gains.shape[1], other.gains.shape[1])
        torch.testing.assert_close(
            one.gains[i, :steps], other.gains[j, :steps], atol=1e-4, rtol=1e-4, equal_nan=True
        )


@every_pair
@settings(max_examples=15, deadline=None)
@given(
    asked=st.lists(st.tuples(st.integers(1, 24), st.floats(0.01, 1.0)), min_size=1, max_size=4),
    seed=st.integers(0, 9),
)
def test_exactly_the_budget_is_kept_of_every_picture(
    scorer: str, selector: str, asked: list[tuple[int, float]], seed: int
) -> None:
    these = pictures([n for n, _ in asked], seed=seed)
    budget = torch.tensor([max(1, int(n * share)) for n, share in asked])
    selection = selected(scorer, selector, these, budget)
    empty = getattr(SELECTORS[selector], "empty", False)
    assert torch.equal(selection.keep.sum(1), torch.zeros_like(budget) if empty else budget)
    assert not (selection.keep & ~these.valid).any()


@every_pair
def test_a_picture_does_not_see_its_neighbours_nor_its_padding(scorer: str, selector: str) -> None:
    these, budget = pictures([20, 7, 33, 16], seed=3), torch.tensor([5, 7, 11, 4])
    together = selected(scorer, selector, these, budget)
    wider = selected(scorer, selector, padded(these, 9), budget)
    for i, n in enumerate(these.count.tolist()):
        agree(together, wider, n, i, i)
        if scorer not in MIXING:
            single = selected(scorer, selector, alone(these, i), budget[i : i + 1])
            agree(together, single, n, i, 0)


@pytest.mark.parametrize("scorer", sorted(MIXING))
def test_a_scorer_that_declares_to_mix_the_batch_does_mix_it(scorer: str) -> None:
    these = pictures([16, 16, 16], seed=1)
    together, single = SCORERS[scorer]()(these), SCORERS[scorer]()(alone(these, 1))
    assert not torch.allclose(together.values[1], single.values[0], atol=1e-3)


@every_pair
def test_permuted_tokens_give_the_permuted_set_unless_places_count(scorer: str, selector: str) -> None:
    these, budget = pictures([20, 7, 33, 16], seed=5), torch.tensor([5, 3, 11, 4])
    if (
        scorer in MIXING
    ):  # the guide's mean pairs places of different pictures: it follows a common order only
        these, budget = alone(these, 2), budget[2:3]
    order = shuffle(these, seed=1)
    before = selected(scorer, selector, these, budget)
    after = selected(scorer, selector, permuted(these, order), budget)
    follows = torch.equal(after.keep, before.keep.gather(1, order))
    constant = selector == "top_k" and bool((SCORERS[scorer]()(these).values == 0).all())  # ties go by place
    assert follows or is_positional(scorer, selector) or constant


@every_pair
def test_the_same_call_gives_the_same_answer_and_scores_can_be_selected_from_twice(
    scorer: str, selector: str
) -> None:
    these, budget = pictures([20, 7, 33]), torch.tensor([5, 3, 11])
    scores = SCORERS[scorer]()(these)
    once, twice = SELECTORS[selector]()(these, scores, budget), SELECTORS[selector]()(these, scores, budget)
    again = selected(scorer, selector, these, budget)
    for i, n in enumerate(these.count.tolist()):
        agree(once, twice, n, i, i)
        agree(once, again, n, i, i)


@every_selector
def test_masses_of_a_selector_that_pools_add_up_to_the_tokens(selector: str) -> None:
    these, budget = pictures([24, 9, 36]), torch.tensor([6, 4, 13])
    scorer = "tome" if selector == "own" else "efe"
    selection = selected(scorer, selector, these, budget)
    if selection.mass is None:
        assert selection.merged is None
        return
    torch.testing.assert_close(selection.mass.sum(1), these.count.float())
    assert torch.equal(selection.mass > 0, selection.keep)


def test_top_k_keeps_the_first_of_equals() -> None:
    these = pictures([6])
    scores = Scores(torch.tensor([[1.0, 2.0, 1.0, 1.0, 2.0, 1.0]]))
    keep = SELECTORS["top_k"]()(these, scores, torch.tensor([4])).keep
    assert keep[0].tolist() == [True, True, True, False, True, False]


@given(n=st.integers(1, 60), share=st.floats(0.0, 1.0))
@settings(max_examples=50, deadline=None)
def test_stride_keeps_the_middles_of_equal_runs(n: int, share: float) -> None:
    k = max(1, round(n * share))
    scores = Scores(torch.zeros(1, n))
    keep = SELECTORS["stride"]()(pictures([n]), scores, torch.tensor([k])).keep
    assert keep[0].nonzero()[:, 0].tolist() == [(2 * i + 1) * n // (2 * k) for i in range(k)]


def test_pooling_a_grid_to_a_quarter_is_average_pooling() -> None:
    these = pictures([36], dim=4)
    selection = SELECTORS["pool"]()(these, Scores(torch.zeros(1, 36)), torch.tensor([9]))
    image = these.tokens.transpose(1, 2).reshape(1, 4, 6, 6)
    expected = torch.nn.functional.avg_pool2d(image, 2).flatten(2).transpose(1, 2)
    assert selection.merged is not None
    torch.testing.assert_close(selection.merged[selection.keep], expected[0])
    assert selection.keep[0].reshape(6, 6).nonzero().tolist() == [
        [r, c] for r in (0, 2, 4) for c in (0, 2, 4)
    ]


def test_pooling_cuts_the_sequence_where_the_grid_is_unknown_or_the_number_prime() -> None:
    these = pictures([36, 13], dim=4)
    selection = SELECTORS["pool"]()(these, Scores(torch.zeros(2, 36)), torch.tensor([13, 3]))
    assert selection.mass is not None
    assert selection.mass[0][selection.keep[0]].tolist() == [3, 3, 3, 3, 2, 3, 3, 3, 2, 3, 3, 3, 2]
    assert selection.mass[1][selection.keep[1]].tolist() == [5, 4, 4]


def test_greedy_without_a_value_of_sets_says_what_to_do() -> None:
    these = pictures([6])
    with pytest.raises(ValueError, match="selector='top_k'"):
        SELECTORS["greedy"]()(these, Scores(torch.zeros(1, 6)), torch.tensor([2]))


def test_own_without_a_way_of_its_own_says_what_to_do() -> None:
    these = pictures([6])
    with pytest.raises(ValueError, match=r"chooser is None.*selector='top_k'"):
        SELECTORS["own"]()(these, Scores(torch.zeros(1, 6)), torch.tensor([2]))


def test_gains_are_not_a_number_past_the_budget_of_a_picture() -> None:
    these = pictures([12, 12])
    gains = selected("efe", "greedy", these, torch.tensor([2, 5])).gains
    assert gains is not None
    assert torch.equal(gains.isnan(), torch.tensor([[False] * 2 + [True] * 3, [False] * 5]))

"""Published methods that climb, on examples small enough to be done by hand, and against determinants."""

from dataclasses import dataclass
from math import exp, log
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arr_coc.climb import climb
from arr_coc.diversity import Determinant, cosines
from arr_coc.relevance import RELEVANCE, words_and_tokens
from arr_coc.scorers.agileprune import AgilePrune, effective_rank
from arr_coc.scorers.cdpruner import CDPruner
from arr_coc.scorers.eadp import Eadp, smoothed
from arr_coc.scorers.id_selection import IDSelection
from arr_coc.scorers.mmtok import MMTok
from arr_coc.scorers.scope import Scope
from arr_coc.types import Pictures
from tests.pictures import picture_of, pictures

THREE = [[1, 0], [0.8, 0.6], [0, 1.0]]
"""Cosines 0.8, 0 and 0.6."""


@dataclass(frozen=True)
class Known:
    """Relevance by decree."""

    values: tuple[float, ...]
    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, these: Pictures) -> Tensor:
        return torch.tensor([self.values])


def climbed(scorer: Any, these: Pictures, k: int) -> tuple[list[int], list[float]]:
    """Which tokens in which order, and what each added."""
    value = scorer(these).of_sets
    path = climb(value, these.valid, torch.tensor([k]))
    return path.order[0].tolist(), path.gains[0].tolist()


def test_cdpruner_weighs_relevance_against_what_is_explained_already() -> None:
    # After 0, the second token has 0.9^2 (1 - 0.8^2) = 0.29 left and the third 0.6^2 (1 - 0).
    these = picture_of([*THREE, [-1, 0]])

    order, gains = climbed(CDPruner(source=Known((1.0, 0.9, 0.6, 0.0))), these, 2)

    assert order == [0, 2]
    assert gains == pytest.approx([0, 2 * log(0.6)], abs=1e-5)


def test_theta_of_cdpruner_sharpens_relevance() -> None:
    # theta = 0.8: exp(2 r). The second token has e^3.6 0.36 = 13.2 left, the third e^2.4 = 11.0.
    these = picture_of([*THREE, [-1, 0]])

    order, gains = climbed(CDPruner(source=Known((1.0, 0.9, 0.6, 0.0)), theta=0.8), these, 2)

    assert order == [0, 1]
    assert gains == pytest.approx([4, 3.6 + log(0.36)], abs=1e-4)


def test_gains_of_a_determinant_add_up_to_its_logarithm() -> None:
    these = pictures([12, 9], dim=8, seed=3)
    kernel = cosines(these.tokens, these.tokens)
    quality = torch.rand(2, 12, generator=torch.Generator().manual_seed(0)) + 0.1

    path = climb(Determinant(kernel, quality), these.valid, torch.tensor([5, 4]))

    whole = quality[:, :, None] * kernel * quality[:, None, :]
    for i, k in enumerate([5, 4]):
        among = path.order[i, :k]
        expected = torch.logdet(whole[i][among][:, among].double())
        assert path.gains[i, :k].double().sum() == pytest.approx(float(expected), abs=1e-3)


def test_past_the_rank_of_the_kernel_a_determinant_goes_by_quality() -> None:
    these = picture_of([[1, 0], [0, 1], [1, 0], [1, 0], [0, 1.0]])
    quality = torch.tensor([[0.9, 0.8, 0.1, 0.4, 0.3]])

    path = climb(Determinant(cosines(these.tokens, these.tokens), quality), these.valid, torch.tensor([5]))

    assert path.order[0].tolist() == [0, 1, 3, 4, 2]


def test_scope_multiplies_coverage_by_attention() -> None:
    # First gains: 1.8, 2.4 and 1.6, times 0.5, 0.3, 0.2. Then 1 covers 0.2 + 0.6 more, and 2 covers 1 more.
    these = picture_of(THREE, attention=[0.5, 0.3, 0.2])

    assert climbed(Scope(), these, 2) == ([0, 1], pytest.approx([0.9, 0.8 * 0.3]))
    assert climbed(Scope(alpha=0.0), these, 2) == ([1, 2], pytest.approx([2.4, 0.4]))


def test_mmtok_covers_words_and_the_picture() -> None:
    # Cosines with the word 1 and -1; softmax of that: p and 1 - p, and so for each token with the other.
    these = picture_of([[2, 0], [-2, 0.0]], words=[[3, 0.0]])
    p = exp(1) / (exp(1) + exp(-1))

    order, gains = climbed(MMTok(text_temperature=1.0, picture_temperature=1.0, alpha=0.5), these, 2)

    assert order == [0, 1]
    assert gains == pytest.approx([p + 0.5, 0.5 * (2 * p - 1)])


def test_eadp_smooths_over_the_neighbours_that_are_there() -> None:
    row = torch.tensor([[0.0, 4.0, 0.0]])
    # Weights 1 2 1 of a row, as far as it goes: 4 / 3, 8 / 4, 4 / 3.
    assert_close(smoothed(row, picture_of([[1.0]] * 3, grid=(1, 3))), torch.tensor([[4 / 3, 2.0, 4 / 3]]))
    assert_close(smoothed(row, picture_of([[1.0]] * 3)), row)  # the grid is unknown
    square = torch.eye(9)[4:5] * 16
    expected = torch.tensor([[16 / 9, 32 / 12, 16 / 9, 32 / 12, 4.0, 32 / 12, 16 / 9, 32 / 12, 16 / 9]])
    assert_close(smoothed(square, picture_of([[1.0]] * 9, grid=(3, 3))), expected)


def test_eadp_listens_to_the_half_of_the_words_that_point_at_something() -> None:
    # The first word is at right angles to all tokens: its softmax is flat, and it is not listened to.
    these = picture_of([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0.0]], words=[[0, 0, 1], [1, 0, 0.0]])

    assert_close(Eadp()._dense(these), torch.tensor([[1.0, -1.0, 0.0, 0.0]]))
    # Both words, equally long heard: weights e^-h of the entropies of (0, 0, 0, 0) and (1, -1, 0, 0).
    every = Eadp(quiet=1.0, temperature=1.0)._dense(these)
    z = exp(1) + exp(-1) + 2
    h = log(z) - (exp(1) - exp(-1)) / z
    assert every[0, 0] == pytest.approx(exp(-h) / (exp(-h) + exp(-log(4))))


def test_eadp_covers_the_picture_where_it_is_relevant() -> None:
    # Relevance 1, 0.5 and 0, scaled, without words and neighbours; mu = 1, beta = 1. First gains:
    # 1 + 0.8 / 2 = 1.4, 0.8 + 0.5 = 1.3, 0.6 / 2 = 0.3; then 0.2 / 2 against nothing.
    these = picture_of(THREE)

    order, gains = climbed(Eadp(source=Known((3.0, 2.0, 1.0)), mu=1.0, beta=1.0), these, 2)

    assert order == [0, 1]
    assert gains == pytest.approx([1.4, 0.1])


def test_agileprune_skips_what_resembles_what_is_kept_unless_its_rank_allows_it() -> None:
    # Attention goes 0 1 2 3. Thresholds 0.2 i: the second may have 0.4 and has 0.8; the third 0.6 and has 0;
    # the fourth 0.8 and has 1. So 0 and 2 pass, and then the best that was skipped.
    these = picture_of([*THREE, [1, 0]], attention=[0.4, 0.3, 0.2, 0.1])

    assert climbed(AgilePrune(slope=0.2), these, 4)[0] == [0, 2, 1, 3]
    assert climbed(AgilePrune(slope=0.45), these, 4)[0] == [0, 1, 2, 3]


def test_agileprune_is_milder_with_complex_pictures() -> None:
    # Singular values 2, 1, 1: shares 1/2, 1/4, 1/4, entropy 1.5 ln 2.
    these = picture_of([[2, 0, 0], [0, 1, 0], [0, 0, 1.0]], attention=[0.5, 0.3, 0.2])
    assert effective_rank(these)[0] == pytest.approx(2**1.5)

    flat = picture_of([*THREE, [1, 0]], attention=[0.4, 0.3, 0.2, 0.1])
    erank = float(effective_rank(flat)[0])

    assert climbed(AgilePrune(slope=0.2, erank_average=erank), flat, 2)[0] == [0, 2]
    assert climbed(AgilePrune(slope=0.2, erank_average=erank / 3), flat, 2)[0] == [0, 1]


def test_id_selection_suppresses_what_is_like_what_was_picked() -> None:
    # Importance 1, 0.875, 0.5, 0. After 0: 0.875 (1 - 0.8) = 0.175 against 0.5.
    these = picture_of([*THREE, [-1, 0]], attention=[0.5, 0.45, 0.3, 0.1])

    order, gains = climbed(IDSelection(), these, 3)

    assert order == [0, 2, 1]
    assert gains == pytest.approx([0, log(0.5), log(0.175 * 0.4)])


def test_words_and_tokens_are_compared_without_what_all_tokens_share() -> None:
    these = picture_of([[11, 10], [9, 10], [10, 10.0]], words=[[1, 0], [0, 1.0]])

    assert_close(words_and_tokens(these), torch.tensor([[[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]]))


@pytest.mark.parametrize("name", RELEVANCE)
def test_relevance_does_not_see_padding_or_a_row_without_words(name: str) -> None:
    these = pictures([9, 4])
    mute = Pictures(**{**vars(these), "asked": torch.zeros_like(these.asked)})

    assert RELEVANCE[name]()(these)[these.valid].isfinite().all()
    assert RELEVANCE[name]()(mute)[these.valid].isfinite().all()

"""Contract of every scorer, and each method against an independent transcription of its formula."""

import math
import re

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from arr_coc.climb import Valued
from arr_coc.epistemic import EPISTEMIC
from arr_coc.preference import Indifferent, QuestionPreference, WordPreference
from arr_coc.scorers import SCORERS
from arr_coc.scorers.efe import ExpectedFreeEnergy
from arr_coc.scorers.random import Random
from arr_coc.select import SELECTORS
from arr_coc.types import Pictures, Scorer
from tests.pictures import alone, padded, permuted, pictures, shuffle

OURS = {
    "efe", "efe_depth", "quadtree", "saccade", "seed", "seed_per_sample",
    "random", "stride", "pool", "blind", "downsample",
}  # fmt: skip
"""Everything else is somebody's method."""
every_scorer = pytest.mark.parametrize("name", SCORERS)
SINGLE = [name for name in SCORERS if not getattr(SCORERS[name], "mixes_batch", False)]
FREE = [name for name in SINGLE if not getattr(SCORERS[name], "positional", False)]


@every_scorer
def test_a_scorer_states_a_selector_that_exists_and_fits(name: str) -> None:
    scorer, these = SCORERS[name](), pictures([9, 4])
    assert isinstance(scorer, Scorer)
    SELECTORS[scorer.selector]()(these, scorer(these), torch.tensor([2, 2]))


@pytest.mark.parametrize("name", sorted(set(SCORERS) - OURS))
def test_a_published_method_says_where_it_was_published(name: str) -> None:
    assert re.search(r"https://|, ECCV 2026, eq\. 13", SCORERS[name].__doc__ or "")


@every_scorer
def test_scores_are_finite_at_valid_tokens(name: str) -> None:
    these = pictures([9, 4, 1])
    scores = SCORERS[name]()(these)
    for part in (scores.values, scores.pragmatic, scores.epistemic):
        assert part is None or part[these.valid].isfinite().all()


@pytest.mark.parametrize("name", SINGLE)
def test_a_score_does_not_see_neighbours_or_padding(name: str) -> None:
    these = pictures([20, 7, 33], seed=2)
    scores, wider = SCORERS[name]()(these), SCORERS[name]()(padded(these, 5))
    for i, n in enumerate(these.count.tolist()):
        single = SCORERS[name]()(alone(these, i))
        assert_close(scores.values[i, :n], single.values[0], atol=1e-5, rtol=1e-5)
        assert_close(scores.values[i, :n], wider.values[i, :n], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FREE)
def test_scores_of_permuted_tokens_are_the_permuted_scores(name: str) -> None:
    these = pictures([20, 7, 33], seed=2)
    order = shuffle(these, seed=0)
    scores, after = SCORERS[name]()(these), SCORERS[name]()(permuted(these, order))
    expected = scores.values.gather(1, order)
    assert_close(after.values[these.valid], expected[these.valid], atol=1e-5, rtol=1e-5)


def guide(image_tokens: torch.Tensor, query_embedding: torch.Tensor) -> torch.Tensor:
    """`compute_token_relevance_as_efe` as the guide has it, with the query already encoded."""
    preferences = functional.softmax(query_embedding, dim=-1)
    relevance_scores = []
    for region_idx in range(image_tokens.shape[1]):
        token_embedding = image_tokens[:, region_idx]
        pragmatic = -functional.kl_div(
            functional.log_softmax(token_embedding, dim=-1), preferences, reduction="batchmean"
        )
        token_entropy = -(
            functional.softmax(token_embedding, dim=-1) * functional.log_softmax(token_embedding, dim=-1)
        ).sum(dim=-1)
        relevance_scores.append(pragmatic + 0.1 * token_entropy)
    return torch.stack(relevance_scores, dim=1)


def mean_word(these: Pictures) -> torch.Tensor:
    return torch.stack([q[a].mean(0) for q, a in zip(these.query, these.asked, strict=True)])


def test_seed_is_the_guide_to_the_letter() -> None:
    these = pictures([15, 15, 15])
    assert_close(SCORERS["seed"]()(these).values, guide(these.tokens, mean_word(these)), atol=1e-5, rtol=1e-5)


def test_seed_per_sample_is_the_guide_on_one_picture_at_a_time() -> None:
    these = pictures([15, 8])
    values = SCORERS["seed_per_sample"]()(these).values
    for i, n in enumerate([15, 8]):
        expected = guide(these.tokens[i : i + 1, :n], mean_word(these)[i : i + 1])
        assert_close(values[i : i + 1, :n], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_divprune_is_farthest_point_on_cosine_distance(seed: int) -> None:
    these = pictures([25], seed=seed)
    unit = functional.normalize(these.tokens[0].double(), dim=1)
    distance = 1 - unit @ unit.T
    others = distance + 9 * torch.eye(25)
    kept = [int(others.amin(1).argmax())]
    while len(kept) < 9:
        left = [j for j in range(25) if j not in kept]
        kept.append(max(left, key=lambda j: float(distance[j, kept].min())))
    keep = SELECTORS["greedy"]()(these, SCORERS["divprune"]()(these), torch.tensor([9])).keep
    assert keep[0].nonzero()[:, 0].tolist() == sorted(kept)


def test_random_subsets_differ_between_pictures_and_seeds_and_are_even() -> None:
    these = pictures([32] * 200)
    keep = torch.stack(
        [SELECTORS["top_k"]()(these, Random(seed)(these), torch.full((200,), 8)).keep for seed in (0, 1)]
    )
    assert len({tuple(row) for row in keep.flatten(0, 1).tolist()}) == 400
    share = keep.float().mean((0, 1))  # over 400 draws; 4 standard deviations around 1/4
    assert ((share - 0.25).abs() < 4 * math.sqrt(0.25 * 0.75 / 400)).all()


def test_random_does_not_hear_rounding_in_the_tokens() -> None:
    these = pictures([32] * 20)
    noisy = Pictures(**{**vars(these), "tokens": these.tokens * (1 + 1e-6 * torch.randn(these.tokens.shape))})
    assert torch.equal(Random()(these).values, Random()(noisy).values)


def test_blind_keeps_nothing_whatever_the_budget() -> None:
    these = pictures([9, 4])
    scorer = SCORERS["blind"]()
    assert not SELECTORS[scorer.selector]()(these, scorer(these), torch.tensor([9, 1])).keep.any()


@pytest.mark.parametrize("epistemic", EPISTEMIC)
def test_efe_without_words_or_precision_prefers_no_token(epistemic: str) -> None:
    these = pictures([20, 9])
    mute = Pictures(**{**vars(these), "asked": torch.zeros_like(these.asked)})
    indifferent = ExpectedFreeEnergy(epistemic, Indifferent())(these)
    for scores in (
        ExpectedFreeEnergy(epistemic)(mute),
        ExpectedFreeEnergy(epistemic, WordPreference(gamma=0.0))(these),
    ):
        assert_close(scores.values[these.valid], indifferent.values[these.valid])
        assert scores.pragmatic is not None
        assert_close(scores.pragmatic, torch.zeros_like(scores.pragmatic), atol=1e-6, rtol=0)


def test_efe_attends_to_the_part_of_the_picture_that_a_word_resembles() -> None:
    these = pictures([40], dim=32, seed=3)
    there = torch.arange(40) < 8
    word = 6 * functional.normalize(torch.randn(32, generator=torch.Generator().manual_seed(0)), dim=0)
    tokens = these.tokens + torch.where(there[:, None], word, 0.0)
    asking = Pictures(
        **{
            **vars(these),
            "tokens": tokens,
            "query": word[None, None],
            "asked": torch.ones(1, 1).bool(),
            "attention": None,
        }
    )
    greedy, budget = SELECTORS["greedy"](), torch.tensor([8])
    sharp = greedy(asking, ExpectedFreeEnergy(preference=WordPreference(gamma=3.0))(asking), budget).keep[0]
    flat = greedy(asking, ExpectedFreeEnergy(preference=Indifferent())(asking), budget).keep[0]
    assert (sharp & there).sum() > (flat & there).sum()


def test_preferences_average_to_one_and_never_fall_below_the_floor() -> None:
    these = pictures([20, 9, 1])
    for kind in (QuestionPreference, WordPreference):
        preference = kind(gamma=2.0, eps=0.2)(these).exp() * these.valid
        assert_close(preference.sum(1), these.count.float())
        assert (preference[these.valid] >= 0.2 - 1e-6).all()


def test_a_projected_efe_gains_almost_the_nats_of_the_exact_one() -> None:
    these = pictures([200, 150], dim=600, seed=1)
    budget = torch.tensor([24, 24])
    exact = ExpectedFreeEnergy(rank=None)
    best = SELECTORS["greedy"]()(these, exact(these), budget)
    cheap = SELECTORS["greedy"]()(these, ExpectedFreeEnergy(rank=128)(these), budget)
    assert best.gains is not None
    for i in range(2):
        value = exact(these).of_sets
        assert isinstance(value, Valued)
        for token in cheap.keep[i].nonzero()[:, 0]:
            value.add(token.expand(2))
        assert value.values()[i, -1] > 0.95 * best.gains[i].sum()


@pytest.mark.parametrize(
    ("settings", "what"),
    [({"epistemic": "trac"}, "trace"), ({"sigma2": 0.0}, "sigma2"), ({"rank": 0}, "rank=None")],
)
def test_efe_refuses_settings_that_make_no_sense(settings: dict[str, object], what: str) -> None:
    with pytest.raises((KeyError, ValueError), match=what):
        ExpectedFreeEnergy(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("eps", [-0.1, 1.5])
def test_a_preference_refuses_a_habit_that_is_no_share(eps: float) -> None:
    with pytest.raises(ValueError, match="eps"):
        WordPreference(eps=eps)

"""The allocator: what is asked for is what is kept, and everything that was decided can be read."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from arr_coc.allocate import Allocator
from arr_coc.centring import centred
from arr_coc.merge import NATS, TRUST, assign
from arr_coc.scorers import SCORERS
from arr_coc.scorers.efe import ExpectedFreeEnergy
from arr_coc.select import SELECTORS
from arr_coc.steps import Deep
from arr_coc.types import Context, Pictures, Scores, Spending
from tests.contexts import context
from tests.pictures import picture_of

ROWS = [[3, 12, 2], [4, 9, 1, 16, 3], [6]]
DEEP = [name for name in SCORERS if isinstance(SCORERS[name](), Deep)]  # see test_steps
every_scorer = pytest.mark.parametrize("scorer", [name for name in SCORERS if name not in DEEP])
MERGING = {"quadtree", "visionzip", "prumerge", "prumerge_plus", "trim", "tome"}
COUNTS = torch.tensor([[12, 0], [9, 16], [0, 0]])


def kept_of(prefill: Context, keep: torch.Tensor) -> torch.Tensor:
    """Kept visual tokens of each picture."""
    nth = torch.arange(prefill.grid.shape[1])
    return ((prefill.picture[..., None] == nth) & keep[..., None]).sum(1)


@every_scorer
@pytest.mark.parametrize("left", [False, True])
def test_the_budget_of_every_picture_is_kept_and_all_text(scorer: str, left: bool) -> None:
    prefill = context(ROWS, left=left)
    allocation = Allocator(scorer, budget=5)(prefill)
    expected = torch.zeros(3, 2, dtype=torch.long) if scorer == "blind" else (COUNTS > 0) * 5
    assert torch.equal(allocation.budget, expected)
    assert torch.equal(kept_of(prefill, allocation.keep), expected)
    assert torch.equal(allocation.visual, COUNTS)
    assert torch.equal(allocation.keep & ~prefill.visual, prefill.text)
    assert torch.equal(allocation.scores.isnan(), ~prefill.visual)


@every_scorer
@pytest.mark.parametrize("budget", [1.0, 12])
def test_keeping_all_is_doing_nothing(scorer: str, budget: float) -> None:
    prefill = context([[3, 12, 2], [4, 12, 7], [6]])
    if scorer == "blind":
        assert not Allocator(scorer, budget)(prefill).keep[prefill.visual].any()
        return
    allocation = Allocator(scorer, budget, merge=True, precision=True)(prefill)
    assert torch.equal(allocation.keep, prefill.valid)
    assert torch.equal(allocation.budget, allocation.visual)
    assert allocation.bias is allocation.embeds is allocation.gains is allocation.G is None


def test_keeping_all_does_not_even_score() -> None:
    class Untouchable:
        selector = "top_k"

        def __call__(self, pictures: Pictures) -> Scores:
            raise AssertionError

    prefill = context(ROWS)
    assert torch.equal(Allocator(Untouchable(), budget=1.0)(prefill).keep, prefill.valid)


@every_scorer
def test_a_prefill_without_pictures_passes_through(scorer: str) -> None:
    prefill = context([[5], [3]])
    allocation = Allocator(scorer, budget=4, merge=True, precision=True)(prefill)
    assert torch.equal(allocation.keep, prefill.valid)
    assert allocation.budget.shape == (2, 0)


@every_scorer
@pytest.mark.parametrize("selector", ["top_k", "stride", "pool", "none"])
def test_a_row_is_decided_as_if_it_were_alone(scorer: str, selector: str) -> None:
    if getattr(SCORERS[scorer], "mixes_batch", False):
        assert scorer == "seed"  # declared: the guide's mean over the batch
        return
    decide = Allocator(scorer, budget=0.4, selector=selector, merge=True, precision=True)
    both, left = context(ROWS), context(ROWS, left=True)
    together, mirrored = decide(both), decide(left)
    for i, row in enumerate(ROWS):
        single = decide(context([row]))
        pairs = [(together.keep, single.keep), (mirrored.keep, single.keep)]
        pairs += [(together.bias, single.bias), (together.embeds, single.embeds)] if row != [6] else []
        for whole, one in pairs:
            assert whole is not None
            assert one is not None
            real = left.valid if whole is mirrored.keep else both.valid
            assert_close(whole[i][real[i]], one[0], atol=1e-5, rtol=1e-5)


@every_scorer
@pytest.mark.parametrize("selector", [name for name in SELECTORS if name != "none"])
def test_every_selector_can_add_the_precision_of_what_a_kept_token_stands_for(
    scorer: str, selector: str
) -> None:
    prefill = context(ROWS)
    scores = SCORERS[scorer]()(prefill.pictures())
    for way, lacking in (("greedy", scores.of_sets), ("own", scores.chooser)):
        if selector == way and lacking is None:
            with pytest.raises(ValueError, match=f"selector '?{way}"):
                Allocator(scorer, 5, selector)(prefill)
            return
    allocation = Allocator(scorer, 5, selector, precision=True)(prefill)
    assert allocation.bias is not None
    kept = allocation.keep & prefill.visual
    assert (allocation.bias[~kept] == 0).all()
    mass = torch.where(kept, allocation.bias.exp(), 0.0)
    # Nobody counts for more than one, and whoever is kept for no less.
    assert (mass.sum(1) <= prefill.visual.sum(1) + 1e-4).all()
    assert (allocation.bias[kept] >= 0).all()
    merges = selector == "pool" or (selector == "own" and scorer in MERGING)
    assert (allocation.embeds is not None) == merges


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merging_replaces_kept_tokens_by_the_mean_of_their_cluster_and_nothing_else(
    dtype: torch.dtype,
) -> None:
    prefill = context([[2, 12, 2], [3, 7, 1]], dtype=dtype)
    allocation = Allocator("divprune", 4, merge=True, precision=True)(prefill)
    assert allocation.embeds is not None
    assert allocation.bias is not None
    assert allocation.embeds.dtype == dtype
    kept = allocation.keep & prefill.visual
    assert torch.equal(allocation.embeds[~kept], prefill.embeds[~kept])
    for row in range(2):
        tokens = prefill.embeds[row][prefill.visual[row]].float()
        unit = torch.nn.functional.normalize(tokens - tokens.mean(0), dim=1)
        mine = allocation.keep[row][prefill.visual[row]]
        alike = unit @ unit[mine].T
        alike[mine] = torch.eye(4) * 9
        cluster = alike.argmax(1)
        away = tokens - tokens.mean(0)
        speaker = away[mine][cluster]
        ratio = (away * speaker).sum(1) / speaker.square().sum(1)
        part = (NATS * (ratio.clamp(max=1) - 1)).exp()
        part[mine] = 1
        here = torch.stack([(cluster == c) * part for c in range(4)])
        mean = here @ tokens / here.sum(1, keepdim=True)
        assert_close(allocation.embeds[row][kept[row]], mean.to(dtype))
        assert_close(allocation.bias[row][kept[row]], here.sum(1).log())


@every_scorer
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_is_scored_in_single(scorer: str, dtype: torch.dtype) -> None:
    half = context(ROWS, dtype=dtype)
    single = replace(half, embeds=half.embeds.float())
    these, those = (Allocator(scorer, 5, precision=True)(prefill) for prefill in (half, single))
    assert torch.equal(these.keep, those.keep)
    assert these.bias is not None
    assert torch.equal(these.bias, those.bias)
    assert these.embeds is None or these.embeds.dtype == dtype


def test_the_gate_leaves_out_what_resembles_no_kept_token() -> None:
    prefill = context(ROWS)
    closed = Allocator("divprune", 5, merge=True, precision=True, gate=1.1)(prefill)
    assert closed.bias is not None
    assert closed.embeds is not None
    assert (closed.bias == 0).all()
    assert_close(closed.embeds, prefill.embeds)
    half = Allocator("divprune", 5, precision=True, gate=0.5)(prefill)
    full = Allocator("divprune", 5, precision=True)(prefill)
    assert half.bias is not None
    assert full.bias is not None
    assert half.bias.sum() < full.bias.sum()


def test_merging_weighs_by_preference_where_the_scorer_has_one() -> None:
    prefill = context([[2, 12, 2]])
    weighted = Allocator("efe", 1, merge=True)(prefill)
    scores = ExpectedFreeEnergy()(prefill.pictures())
    assert weighted.embeds is not None
    assert scores.pragmatic is not None
    away = centred(prefill.pictures().tokens, prefill.pictures().valid)[0]
    speaker = away[weighted.keep[0][prefill.visual[0]]][0]
    loud = NATS * ((away @ speaker / speaker.square().sum()).clamp(max=1) - 1)
    wanted = scores.pragmatic[0]
    mine = weighted.keep[0][prefill.visual[0]]
    weights = (wanted + loud + TRUST * (wanted - wanted[mine]).clamp(max=0)).exp()
    mean = (weights[:, None] * prefill.embeds[0][prefill.visual[0]]).sum(0) / weights.sum()
    assert_close(weighted.embeds[0][weighted.keep[0] & prefill.visual[0]][0], mean)


def test_who_is_spoken_for_counts_by_how_much_it_is_wanted_and_by_no_more_than_one() -> None:
    # Centred: two that point up and two that point down, all as loud; of each pair one is kept.
    these = picture_of([[3.0], [3.0], [-3.0], [-3.0]], words=[[0.0]])
    keep = torch.tensor([[True, False, True, False]])

    def masses(*wanted: float) -> torch.Tensor:
        return assign(these, keep, wanted=torch.tensor([wanted])).mass(4)[0, [0, 2]]

    full = torch.tensor([2.0, 2.0])
    assert_close(assign(these, keep).mass(4)[0, [0, 2]], full)
    assert_close(masses(0.5, 0.5, -1.0, -1.0), full)
    less = 1 + torch.tensor(-2 * TRUST).exp()
    assert_close(masses(1.0, -1.0, 0.0, 3.0), torch.stack([less, full[1]]))


def test_expected_free_energy_is_minus_information_minus_preference_plus_price() -> None:
    prefill = context(ROWS)
    free, dear = Allocator("efe", 5)(prefill), Allocator("efe", 5, price=10.0)(prefill)
    scores = ExpectedFreeEnergy()(prefill.pictures())
    assert free.G is not None
    assert dear.G is not None
    assert free.gains is not None
    assert scores.pragmatic is not None
    these = prefill.pictures()
    for i in range(3):
        row, nth = these.row[i], these.nth[i]
        kept = free.keep[row][these.index[i]] & these.valid[i]
        assert_close(free.G[row, nth], -free.gains[i].sum() - scores.pragmatic[i][kept].sum())
        assert_close(
            dear.G[row, nth] - free.G[row, nth], 10 * 5 / prefill.valid[row].sum(), atol=1e-4, rtol=0
        )
    assert free.G[0, 1] == 0
    assert Allocator("random", 5)(prefill).G is None


def test_expected_free_energy_of_the_guide_is_minus_the_relevance_of_what_is_kept() -> None:
    prefill = context(ROWS)
    allocation = Allocator("seed_per_sample", 5)(prefill)
    assert allocation.G is not None
    kept = allocation.scores[allocation.keep & prefill.visual]
    assert_close(allocation.G.sum(), -kept.sum())


def test_a_policy_sees_the_scores_and_may_keep_all() -> None:
    class Policy:
        def __call__(self, pictures: Pictures, scores: Scores) -> Spending:
            assert scores.epistemic is not None
            return Spending(torch.where(pictures.count > 10, pictures.count, 3))

    prefill = context(ROWS)
    assert Allocator("efe", Policy())(prefill).budget.tolist() == [[12, 0], [3, 16], [0, 0]]


@pytest.mark.parametrize(
    ("budget", "what"),
    [
        (0, "at least one"),
        (-4, "at least one"),
        (True, "at least one"),
        (0.0, "keep_ratio"),
        (1.5, "keep_ratio"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_at_once(budget: float, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Allocator(budget=budget)


@pytest.mark.parametrize("names", [{"scorer": "eef"}, {"selector": "topk"}, {"budget": "ratoi"}])
def test_a_name_that_does_not_exist_is_refused_at_once_with_a_guess(names: dict[str, str]) -> None:
    with pytest.raises(KeyError, match="did you mean"):
        Allocator(**names)  # type: ignore[arg-type]


def test_a_budget_by_name_that_needs_a_number_says_so() -> None:
    with pytest.raises(ValueError, match="budget=64"):
        Allocator(budget="count")


def test_a_price_below_zero_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="price"):
        Allocator(price=-1.0)


def test_a_count_above_the_tokens_says_so() -> None:
    with pytest.raises(ValueError, match=r"9 visual tokens .* budget=1\.0 keeps all"):
        Allocator(budget=10)(context(ROWS))


def test_an_allocator_is_a_value() -> None:
    assert Allocator("efe", 64) == Allocator("efe", 64)
    assert replace(Allocator("efe", 64), merge=True) != Allocator("efe", 64)

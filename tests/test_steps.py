"""Methods that decide between layers: on examples by hand, and what their budgets come to."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from arr_coc.adapters.tiny import Row
from arr_coc.allocate import Allocator
from arr_coc.attach import attached
from arr_coc.merge import NATS
from arr_coc.scorers import SCORERS
from arr_coc.scorers.autoprune import mutual_information
from arr_coc.scorers.efe_depth import Attended, DepthEFE
from arr_coc.scorers.sparsevlm import peaks, rating
from arr_coc.select import SELECTORS
from arr_coc.steps import Deep, boundaries, falling, spans_from
from tests.contexts import context
from tests.laws import CLOSE
from tests.pictures import picture_of, pictures
from tests.runs import ROWS, apart, generated, tiny_model

DEEP = [name for name in SCORERS if isinstance(SCORERS[name](), Deep)]
every_deep = pytest.mark.parametrize("name", DEEP)


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def spent(name: str, count: int, budget: int, layers: int) -> list[int]:
    """What each layer sees of one picture."""
    method, left, seen = SCORERS[name](), torch.tensor([budget * layers]), [0] * layers
    these = replace(pictures([count], seed=3), attention=None)
    layer = 0
    while True:
        assert isinstance(method, Deep)
        step = method.step(these, left, layer, layers)
        until = layers if step.until is None else step.until
        assert layer < until <= layers
        for n in range(layer, until):
            seen[n] += int(step.keep)
        left = left - step.keep * (until - layer)
        if step.until is None:
            return seen
        method = step.by or method
        if step.since is None:
            layer, count = until, int(step.keep)
        else:
            assert 0 <= step.since < until
        these = pictures([count], seed=3)


@every_deep
@pytest.mark.parametrize("layers", [3, 5, 28, 32])
@pytest.mark.parametrize("share", [0.6, 0.33, 0.11])
def test_the_mean_over_layers_is_the_budget_or_the_least_that_the_method_can(
    name: str, layers: int, share: float
) -> None:
    count = 200
    budget = round(share * count)

    seen = spent(name, count, budget, layers)

    assert len(seen) == layers
    assert seen == sorted(seen, reverse=True)
    whole = sum(n for n in seen if n == count)
    least = whole + sum(n < count for n in seen)
    assert sum(seen) <= max(budget * layers, least)
    if budget * layers >= least:
        assert sum(seen) > (budget - 1) * layers


@every_deep
def test_a_batch_of_pictures_is_each_alone_and_every_layer_is_charged(name: str) -> None:
    tiny = tiny_model("llava", "sdpa")
    allocator = Allocator(name, budget=30)

    with attached(tiny.model, allocator) as trace:
        together = generated(tiny, tiny.inputs(ROWS))
        again = generated(tiny, tiny.inputs(ROWS), use_cache=False)
        alone = [generated(tiny, tiny.inputs([row])) for row in ROWS]

    assert max(map(apart, together.logits, again.logits)) <= CLOSE
    for n, run in enumerate(alone):
        assert max(apart(a[n], b[0]) for a, b in zip(together.logits, run.logits, strict=True)) <= CLOSE
    shown = torch.tensor([row.parts.count("image") for row in ROWS])
    assert trace[0].token_layers is not None
    assert (trace[0].token_layers <= 90 * shown).all()
    assert (trace[0].token_layers > 87 * shown)[shown > 0].all()
    assert trace[0].deeper or trace[0].glimpses


@every_deep
def test_keeping_all_is_the_untouched_model(name: str) -> None:
    tiny = tiny_model("llava", "sdpa")
    inputs = tiny.inputs([Row(1, (4, "image", 9))])
    plain = tiny.model(**inputs).logits

    with attached(tiny.model, Allocator(name, budget=1.0)) as trace:
        assert apart(tiny.model(**inputs).logits, plain) == 0
    assert trace[0].deeper == trace[0].glimpses == ()


@every_deep
def test_a_prefill_outside_of_a_model_is_refused_with_a_way_out(name: str) -> None:
    with pytest.raises(ValueError, match=r"inside attached\(\.\.\.\)"):
        Allocator(name, budget=3)(context([[3, 9, 2]]))


def test_fastv_keeps_what_the_last_word_attended_to_and_spends_what_is_left() -> None:
    paid = [[0.3, 0.0, 0.0, 0.1], [0.0, 0.1, 0.3, 0.2]]
    these = picture_of([[1.0]] * 4, words=[[0.0], [0.0]], paid=paid)
    fastv = SCORERS["fastv"]()

    assert fastv(these).values.tolist() == torch.tensor([paid[1]]).tolist()
    # 32 layers: two see all 576, thirty see (32 * 192 - 2 * 576) / 30 = 166.
    assert spent("fastv", 576, 192, 32) == [576] * 2 + [166] * 30
    # Five layers: one sees all; below a mean of 576 / 5 = 115.2 it cannot go.
    assert spent("fastv", 576, 127, 5) == [576] + [14] * 4
    assert spent("fastv", 576, 63, 5) == [576] + [1] * 4


def test_pyramiddrop_keeps_halves_where_halves_are_the_budget() -> None:
    # 64 (1 + 1/2 + 1/4 + 1/8) / 4 = 30
    assert spent("pyramiddrop", 64, 30, 32) == [64] * 8 + [32] * 8 + [16] * 8 + [8] * 8


def test_a_floor_is_approached_by_the_same_share_at_every_stage() -> None:
    these = pictures([100])
    # 20 + 80 u, 20 + 80 u^2: with u = 1/2 the stages keep 60 and 40.
    assert falling(these, torch.tensor([60 * 3 + 40 * 2]), [3, 2], torch.tensor([20.0])).tolist() == [60]


def test_stages_lie_at_their_share_of_any_depth() -> None:
    assert boundaries((0.25, 0.5, 0.75), 32) == [8, 16, 24]
    assert boundaries((2 / 32, 6 / 32, 15 / 32), 5) == [1, 2]
    assert spans_from(16, [8, 16, 24], 32) == [8, 8]
    with pytest.raises(ValueError, match="two or more"):
        boundaries((0.5,), 1)


def test_mutual_information_is_that_of_the_joint_distribution() -> None:
    words = [[0.0], [0.0]]
    split = picture_of([[1.0]] * 2, words=words, paid=[[0.2, 0.0], [0.0, 0.2]])
    mixed = picture_of([[1.0]] * 2, words=words, paid=[[0.1, 0.3], [0.05, 0.15]])

    assert_close(mutual_information(split), torch.tensor([2.0]).log())
    assert_close(mutual_information(mixed), torch.tensor([0.0]), atol=1e-6, rtol=0)


def test_autoprune_leaves_a_picture_sooner_whose_words_know_where_to_look() -> None:
    method, left = SCORERS["autoprune"](), torch.tensor([20 * 8])
    sharp = picture_of(
        [[1.0]] * 40, words=[[0.0]] * 2, paid=[[0.02] * 20 + [0.0] * 20, [0.0] * 20 + [0.02] * 20]
    )
    flat = picture_of([[1.0]] * 40, words=[[0.0]] * 2, paid=[[0.01] * 40] * 2)
    assert isinstance(method, Deep)

    kept = [int(method.step(these, left - 40, 1, 8).keep) for these in (sharp, flat)]

    # With information the slope is smaller, and a flat curve has less in its first layers.
    assert kept[0] < kept[1]


def test_sparsevlm_asks_the_words_to_which_tokens_turn() -> None:
    these = picture_of(
        [[4.0, 0.0], [3.0, 0.0], [0.0, 0.1]],
        words=[[1.0, 0.0], [0.0, 1.0]],
        paid=[[0.1, 0.3, 0.2], [0.6, 0.0, 0.0]],
    )

    assert rating(these).tolist() == [[True, False]]
    assert_close(SCORERS["sparsevlm"]()(these).values, torch.tensor([[0.1, 0.3, 0.2]]))


def test_sparsevlm_recycles_the_best_of_what_it_drops_as_means() -> None:
    tokens = (
        [[float(i), 0.0] for i in range(20)] + [[100.0, 0.0], [102.0, 0.0], [104.0, 0.0]] + [[0.0, 9.0]] * 7
    )
    paid = [[0.02 + 0.001 * (20 - i) for i in range(20)] + [0.01] * 3 + [0.001] * 7]
    these = picture_of(tokens, words=[[1.0, 0.0]], paid=paid)
    scores = SCORERS["sparsevlm"]()(these)

    # 30 tokens, 21 kept: 9 dropped beyond the budget, of which 30 % (2) make 2 // 10 + 1 = 1 cluster.
    selection = SELECTORS["own"]()(these, scores, torch.tensor([21]))

    assert selection.keep.sum() == 21
    assert selection.keep[0, :20].all()
    assert selection.merged is not None
    assert selection.mass is not None
    centre = int(selection.keep[0, 20:].nonzero()) + 20
    assert_close(selection.merged[0, centre], torch.tensor([101.0, 0.0]))
    assert selection.mass[0, centre] == 2
    assert_close(selection.merged[0, :20], these.tokens[0, :20])


def test_density_peaks_find_one_centre_in_each_of_two_heaps() -> None:
    heaps = torch.tensor([[[0.0], [0.1], [0.2], [9.0], [9.1], [9.2], [5.0]]])
    among = torch.tensor([[True] * 6 + [False]])

    centre, of = peaks(heaps, among, torch.tensor([2]))

    assert centre.sum() == 2
    assert centre[0, :3].sum() == 1
    first, second = centre[0].nonzero()[:, 0].tolist()
    assert of[0, :6].tolist() == [first] * 3 + [second] * 3


def test_the_efe_of_two_stages_gives_a_layer_behind_the_second_a_third_of_one_before() -> None:
    # Two layers of k and three of k / 3 are 3 k = 320.
    assert spent("efe_depth", 576, 64, 5) == [107] * 2 + [35] * 3
    assert spent("efe_depth", 100, 90, 5) == [100] * 2 + [83] * 3
    with pytest.raises(ValueError, match="do not come back"):
        DepthEFE(worth=1.5)


def test_what_was_attended_to_is_wanted_by_the_root_of_its_share_above_a_floor() -> None:
    these = picture_of([[1.0]] * 3, words=[[0.0], [0.0]], paid=[[0.1, 0.0, 0.0], [0.06, 0.04, 0.0]])

    preference = Attended(power=0.5, eps=0.1)(these).exp()

    # Roots of .16, .04 and 0 are as 2 : 1 : 0.
    assert_close(preference, torch.tensor([[0.9 * 3 * 2 / 3 + 0.1, 0.9 + 0.1, 0.1]]), atol=1e-4, rtol=0)


def test_the_precision_of_two_stages_counts_no_token_twice() -> None:
    tiny = tiny_model("llava", "sdpa")
    inputs = tiny.inputs(ROWS)

    with attached(tiny.model, Allocator("efe_depth", budget=30, precision=True)) as trace:
        tiny.model(**inputs)

    (second,) = trace[0].deeper
    assert second.bias is not None
    for decision in (trace[0], second):
        mass = torch.where(decision.scores.isfinite() & decision.keep, decision.bias.exp(), 0.0).sum(1)
        # A token counts by how much of it is said: at most once, and for more than if nothing were.
        every = trace[0].visual.sum(1).float()
        assert (mass <= every + 1e-2).all()
        assert (mass >= torch.tensor(-NATS).exp() * every).all()

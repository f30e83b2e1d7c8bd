"""`saccade`: what a look at a few tokens says of all of them, and what both looks cost together."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch.testing import assert_close

from arr_coc.adapters.tiny import Row
from arr_coc.allocate import Allocator
from arr_coc.attach import attached
from arr_coc.merge import NATS, carried
from arr_coc.scorers.saccade import Saccade
from arr_coc.steps import Step
from arr_coc.types import Pictures, Scores, Spending
from tests.deep import explained
from tests.laws import CLOSE
from tests.pictures import picture_of, pictures
from tests.runs import ROWS, apart, batches, tiny_model


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_attention_is_carried_to_those_that_a_token_spoke_for() -> None:
    # Centred: two that point up, of which the second is half as loud, and two that are the same, down.
    these = picture_of(
        [[4.0], [2.0], [-3.0], [-3.0]], words=[[0.0], [0.0]], paid=[[0.4, 0, 0.1, 0], [0.2, 0, 0.3, 0]]
    )
    keep = torch.tensor([[True, False, True, False]])

    part = torch.tensor(-0.5 * NATS).exp()
    plain = carried(these, keep, None)
    assert_close(
        plain[0, 0], torch.stack([torch.tensor(0.4), 0.4 * part, torch.tensor(0.1), torch.tensor(0.1)])
    )
    bias = torch.stack([1 + part, torch.tensor(1.0), torch.tensor(2.0), torch.tensor(1.0)]).log()[None]
    shared = carried(these, keep, bias)
    # What was counted as several shares what it got, to the last of it.
    assert_close(shared.sum(2), torch.tensor([[0.5, 0.5]]))
    assert_close(shared[0, 1, 2:], torch.tensor([0.15, 0.15]))
    assert_close(shared[0, 1, 1] / shared[0, 1, 0], part)


def test_nobody_speaks_for_a_picture_at_which_nothing_was_glimpsed() -> None:
    these = pictures([6, 4])
    keep = torch.zeros(2, 6, dtype=torch.bool)
    keep[0, :2] = True

    told = carried(these, keep, None)

    assert (told[0].sum(0) > 0).all()
    assert not told[1].any()


def test_both_looks_together_cost_what_was_allowed() -> None:
    method, fresh = (
        Saccade(share=0.25, since=0.5, until=0.6),
        replace(pictures([100, 9, 50, 50]), attention=None),
    )
    # Of five layers three read the glimpse and the last of these is listened to; 5 x 20 is 100 token-layers.
    left = torch.tensor([100, 45, 5, 8])

    first = method.step(fresh, left, 0, 5)
    then = method.step(pictures([100, 9, 50, 50]), left - 3 * first.keep, 0, 5)

    # A quarter: 25 / 3 = 8; nothing where all is kept, nor where one token a layer is all there is.
    assert (first.keep.tolist(), first.since, first.until) == ([8, 0, 0, 1], 2, 3)
    assert (then.keep.tolist(), then.until) == ([15, 9, 1, 1], None)


@pytest.mark.parametrize(
    ("settings", "says"), [({"share": 1.0}, "both looks"), ({"since": 0.6, "until": 0.5}, "since < until")]
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Saccade(**settings)


@pytest.mark.parametrize("family", ["llava", "qwen3_vl"])
@pytest.mark.parametrize("switches", [{}, {"precision": True, "merge": True}, {"positions": "compact"}])
def test_what_is_kept_is_chosen_by_what_was_heard_and_read_from_the_first_layer(
    family: str, switches: dict[str, bool | str]
) -> None:
    tiny = tiny_model(family, "sdpa")

    for inputs in batches(tiny):
        with attached(tiny.model, Allocator("saccade", budget=0.4, **switches)) as trace:  # type: ignore[arg-type]
            pruned = tiny.model(**inputs).logits
        record = trace[0]
        (seen,) = record.glimpses
        assert (seen.budget < record.budget)[record.visual > 0].all()
        most = 3 * (0.4 * record.visual).round().sum(1)
        assert (record.token_layers <= most).all()
        assert (record.token_layers > most - 3 * (record.visual > 0).sum(1))[most > 0].all()
        if "positions" not in switches:
            keep = record.keep
            assert apart(pruned[keep], explained(tiny, inputs, record)[keep]) <= CLOSE


def test_a_picture_that_is_kept_whole_is_not_glimpsed_at_beside_one_that_is_not() -> None:
    tiny = tiny_model("qwen2_vl", "sdpa")
    rows = [Row(1, (4, "image", 9)), Row(6, (2, "video", 5))]
    inputs = tiny.inputs(rows)
    n = inputs["input_ids"]
    small = min(int((n == placeholder).sum()) for placeholder in (10, 11))

    with attached(tiny.model, Allocator("saccade", budget=small)) as trace:
        tiny.model(**inputs)

    (seen,) = trace[0].glimpses
    whole = trace[0].visual == trace[0].budget
    assert whole.any()
    assert not whole.all()
    assert torch.equal(whole & (trace[0].visual > 0), (seen.budget == 0) & (trace[0].visual > 0))


def test_nothing_is_read_where_there_is_no_token_to_glimpse_at() -> None:
    tiny = tiny_model("llava", "sdpa")

    with attached(tiny.model, Allocator("saccade", budget=1)) as trace:
        tiny.model(**tiny.inputs(ROWS))

    assert trace[0].glimpses == ()
    assert trace[0].by_layer is not None
    assert trace[0].by_layer.tolist() == [[row.parts.count("image")] * 3 for row in ROWS]


def test_what_a_budget_says_of_itself_is_in_the_record_of_what_was_kept() -> None:
    @dataclass(frozen=True)
    class Sure:
        fixed: ClassVar[bool] = True

        def __call__(self, pictures: Pictures, scores: Scores) -> Spending:
            candidates = torch.tensor([[5, 9]]).expand(len(pictures.count), -1)
            return Spending(candidates[:, 1], candidates, torch.full_like(candidates, 0.5, dtype=torch.float))

    tiny = tiny_model("llava", "sdpa")
    with attached(tiny.model, Allocator("saccade", budget=Sure())) as trace:
        tiny.model(**tiny.inputs(ROWS[:1]))

    assert trace[0].q_pi is not None
    assert trace[0].q_pi.tolist() == [[[0.5, 0.5]]]
    assert trace[0].glimpses


def test_a_stage_between_layers_may_follow_a_glimpse() -> None:
    @dataclass(frozen=True)
    class Both:
        selector: ClassVar[str] = "greedy"
        words: ClassVar[int | None] = None
        of: Saccade = Saccade()  # noqa: RUF009 (frozen)

        def __call__(self, pictures: Pictures) -> Scores:
            return self.of(pictures)

        def step(self, pictures: Pictures, left: torch.Tensor, layer: int, layers: int) -> Step:
            if layer == 0 and pictures.attention is not None:
                return Step(left // layers + 4, 1)
            return self.of.step(pictures, left, layer, layers)

    tiny = tiny_model("llava", "sdpa")
    inputs = tiny.inputs(ROWS)
    with attached(tiny.model, Allocator(Both(), budget=30)) as trace:
        pruned = tiny.model(**inputs).logits

    keep = trace[0].deeper[-1].keep
    assert apart(pruned[keep], explained(tiny, inputs, trace[0])[keep]) <= CLOSE
    # 90: 6 of the glimpse in three layers, then 28 in one and 22 in two.
    assert trace[0].by_layer is not None
    assert trace[0].by_layer[0].tolist() == [34, 28, 28]

"""The laws of glimpsing: what is heard is what the model says, and nothing is left of what was read."""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import pytest
import torch
from torch import Tensor

from arr_coc.adapters.tiny import Tiny
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.cache import CACHE
from arr_coc.family import FAMILIES
from arr_coc.parts import parts_of
from arr_coc.types import Context
from tests.deep import Falling, explained, hidden_from
from tests.glimpses import LOOKING, WEIGHED, Glimpsing, by_attention, heard_by
from tests.laws import BROKEN, CLOSE
from tests.laws.memory import cached_against_repeated, searched, turns
from tests.laws.pruning import compacted
from tests.runs import ROWS, apart, batches, even, generated, joined, positions, tiny_model, watched
from tests.stubs import Some, keep_all

thorough = pytest.mark.parametrize("family", ["llava", "qwen3_vl"])


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@contextmanager
def said_by(tiny: Tiny, first: int, end: int) -> Iterator[list[Tensor]]:
    """What these layers of an eager model give as their weights when they are called: the mean over heads."""
    parts, said = parts_of(tiny.model), []
    found = [getattr(layer, parts.family.attention, None) for layer in parts.decoder.layers[first:end]]
    hooks = [
        attention.register_forward_hook(lambda module, args, output: said.append(output[1].mean(1)))
        for attention in found
        if attention is not None
    ]
    try:
        yield said
    finally:
        for hook in hooks:
            hook.remove()


def off_the_weights(context: Context, keep: Tensor, weights: Tensor) -> float:
    """How far what was heard is from these weights of the whole prompt, at the words and at what was kept."""
    assert context.attention is not None
    worst = 0.0
    for row, text in enumerate(context.text):
        expected = torch.where(keep[row], weights[row][text], 0.0)
        got = context.attention[row]
        worst = max(worst, apart(got[: len(expected)], expected), float(got[len(expected) :].abs().sum()))
    return worst


@thorough
@pytest.mark.parametrize(("since", "until"), [(0, 1), (1, 3)])
def test_what_is_heard_is_what_the_model_says_of_the_glimpse_alone(
    family: str, since: int, until: int
) -> None:
    tiny = tiny_model(family, "sdpa")
    stub, heard = heard_by(Glimpsing(Some(3, precision=True, merged=True), Some(), until, since))

    for inputs in batches(tiny):
        with attached(tiny.model, stub) as trace:
            tiny.model(**inputs)
        (seen,) = trace[0].glimpses
        eager = tiny_model(family, "eager")
        visual = heard[-1].visual
        with hidden_from(eager, [seen], visual), said_by(eager, since, until) as said:
            eager.model(**inputs | positions(eager, inputs), use_cache=False)
        assert off_the_weights(heard[-1], seen.keep, torch.stack(said).mean(0)) <= 1e-6


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in BROKEN])
def test_any_family_is_heard_as_its_padding_mask_would_have_it(family: str) -> None:
    tiny = tiny_model(family, "sdpa")
    layers = parts_of(tiny.model).n_layers
    stub, heard = heard_by(Glimpsing(then=Some(), until=layers))
    inputs = tiny.inputs(ROWS)

    with attached(tiny.model, stub) as trace:
        tiny.model(**inputs)
    (seen,) = trace[0].glimpses

    eager = tiny_model(family, "eager")
    with said_by(eager, 0, layers) as said:
        if parts_of(eager.model).family.recurrent:  # which skips what is dropped, and masks nothing
            compacted(eager, inputs, seen)
        else:
            eager.model(
                **inputs | positions(eager, inputs) | {"attention_mask": seen.keep.long()}, use_cache=False
            )
    if parts_of(eager.model).family.recurrent:
        n = len(said) // (len(ROWS) + 1)
        whole = torch.zeros(len(ROWS), *[seen.keep.shape[1]] * 2)
        for row, keep in enumerate(seen.keep):
            of_row = torch.stack(said[n * (row + 1) : n * (row + 2)]).mean(0)[0]
            whole[row] = whole[row].masked_scatter(keep[:, None] & keep, of_row)
        said = [whole]
    assert off_the_weights(heard[0], seen.keep, torch.stack(said).mean(0)) <= 1e-5


def test_of_the_last_word_only_that_is_heard(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS)
    every, heard = heard_by(Glimpsing())
    one, last = heard_by(Glimpsing(words=1))
    for stub in (every, one):
        with attached(llava.model, stub):
            llava.model(**inputs)

    assert last[0].attention is not None
    assert last[0].attention.shape[1] == 1
    ends = [heard[0].attention[row, n - 1] for row, n in enumerate(heard[0].text.sum(1))]
    assert torch.allclose(last[0].attention[:, 0], torch.stack(ends), atol=1e-6)


def test_layers_read_the_glimpse_as_deep_as_is_said_and_then_the_prompt(llava: Tiny) -> None:
    layers = parts_of(llava.model).decoder.layers
    inputs = llava.inputs(ROWS)
    stub = Glimpsing(first=LOOKING, then=by_attention, until=1)  # the last of two glimpses is not looked into

    with attached(llava.model, LOOKING) as trace, watched(layers[0]) as first, watched(layers[2]) as last:
        llava.model(**inputs)
    with attached(llava.model, Glimpsing(then=stub, until=3)) as twice:
        llava.model(**inputs)

    (seen,) = trace[0].glimpses
    lengths = [int(step.keep.sum(1).max()) for step in (seen, trace[0])]
    assert [call["hidden_states"].shape[1] for call in first] == lengths == [seen.seen, trace[0].seen]
    assert [call["hidden_states"].shape[1] for call in last] == lengths[1:]
    glimpsed, kept = seen.budget.sum(1), trace[0].budget.sum(1)
    expected = torch.stack([kept + glimpsed, kept + glimpsed, kept], dim=1)
    assert torch.equal(trace[0].by_layer, expected)
    assert torch.equal(trace[0].token_layers, expected.sum(1))
    assert (seen.select_ms or 0) > 0
    a, b = (glimpse.budget.sum(1) for glimpse in twice[0].glimpses)
    both = torch.stack([a + b, a, a], dim=1)
    assert torch.equal(twice[0].by_layer - twice[0].budget.sum(1)[:, None], both)


@thorough
@pytest.mark.parametrize("stub", [LOOKING, WEIGHED], ids=["dropped", "weighed"])
def test_the_prompt_is_read_as_if_nothing_had_been_glimpsed_at(family: str, stub: Glimpsing) -> None:
    tiny = tiny_model(family, "sdpa")

    for inputs in batches(tiny):
        with attached(tiny.model, stub) as trace:
            pruned = tiny.model(**inputs).logits
        record, keep = trace[0], trace[0].keep
        assert apart(pruned[keep], explained(tiny, inputs, record)[keep]) <= CLOSE
        with attached(tiny.model, lambda context, record=record: record):
            assert apart(tiny.model(**inputs).logits, pruned) == 0
    assert cached_against_repeated(tiny, stub, ROWS) <= CLOSE
    assert searched(tiny, stub) <= CLOSE


@thorough
def test_a_row_is_the_same_alone(family: str) -> None:
    tiny = tiny_model(family, "sdpa")

    with attached(tiny.model, LOOKING) as trace:
        together = generated(tiny, tiny.inputs(ROWS)).logits
        for n, row in enumerate(ROWS):
            alone = generated(tiny, tiny.inputs([row])).logits
            assert max(apart(a[n], b[0]) for a, b in zip(together, alone, strict=True)) <= CLOSE
            if "image" in row.parts:
                assert torch.equal(trace[-1].by_layer[0], trace[0].by_layer[n])


@thorough
def test_a_glimpse_in_a_later_turn_sees_the_conversation_and_leaves_its_cache_alone(family: str) -> None:
    tiny, (row, other) = tiny_model(family, "sdpa"), (ROWS[0], even(tiny_model(family, "sdpa"))[0])
    place = Glimpsing(Some(3, by_question=0), Some(6, by_question=0))
    assert max(turns(tiny, place, batch) for batch in (1, 2)) <= CLOSE

    one, two, whole = tiny.inputs([row]), tiny.inputs([other]), joined(tiny, [row], [other])
    at, n = positions(tiny, whole), one["input_ids"].shape[1]
    stub, heard = heard_by(place)
    with attached(tiny.model, keep_all):
        past = tiny.model(**one | {k: v[..., :n] for k, v in at.items()}, use_cache=True)[CACHE]
    turn = two | {"attention_mask": whole["attention_mask"]} | {k: v[..., n:] for k, v in at.items()}
    with attached(tiny.model, stub) as trace:
        tiny.model(**turn, **{CACHE: past})

    eager = tiny_model(family, "eager")
    (seen,) = trace[0].glimpses
    keep = torch.cat([torch.ones(1, n, dtype=torch.bool), seen.keep], dim=1)
    with said_by(eager, 0, place.until) as said:
        eager.model(**whole | at | {"attention_mask": keep.long()}, use_cache=False)
    assert off_the_weights(heard[0], seen.keep, torch.stack(said).mean(0)[:, n:, n:]) <= 1e-6


@thorough
def test_what_fails_in_a_glimpse_leaves_nothing_behind(family: str) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs(ROWS)

    def state() -> list[Any]:
        return [
            (type(module), sorted(vars(module)), len(module._forward_pre_hooks), len(module._forward_hooks))
            for module in tiny.model.modules()
        ]

    before, plain = state(), tiny.model(**inputs).logits
    with pytest.raises(ZeroDivisionError), attached(tiny.model, Glimpsing(then=lambda context: 1 // 0)):
        tiny.model(**inputs)
    assert state() == before
    second = attrgetter("layers")(parts_of(tiny.model).decoder)[1]
    with attached(tiny.model, LOOKING) as trace:
        inside = state()
        broken = second.register_forward_pre_hook(lambda module, args: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            tiny.model(**inputs)
        broken.remove()
        assert state() == inside
        tiny.model(**inputs)
        assert len(trace) == 1
    assert state() == before
    assert apart(tiny.model(**inputs).logits, plain) == 0


def test_outputs_that_a_caller_asks_for_are_those_of_the_prompt(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS[:1])

    with attached(llava.model, LOOKING) as trace:
        whole = llava.model(**inputs, output_hidden_states=True)

    assert len(whole.hidden_states) == 4
    assert {hidden.shape[1] for hidden in whole.hidden_states[:-1]} == {trace[0].seen}


def test_what_was_glimpsed_at_may_be_dropped_between_layers_later(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS)

    with attached(llava.model, Glimpsing(then=Falling(by_attention=True))) as trace:
        pruned = llava.model(**inputs).logits

    keep = trace[0].deeper[-1].keep
    assert apart(pruned[keep], explained(llava, inputs, trace[0])[keep]) <= CLOSE
    (seen,) = trace[0].glimpses
    without = torch.tensor([[1, 1, 0]]) * seen.budget.sum(1, keepdim=True)
    falling = torch.stack([step.budget.sum(1) for step in (trace[0], *trace[0].deeper)], dim=1)
    assert torch.equal(trace[0].by_layer, without + falling)


@pytest.mark.parametrize(("since", "until"), [(0, 4), (2, 2), (-1, 2)])
def test_layers_that_are_not_there_are_refused_with_a_way_out(llava: Tiny, since: int, until: int) -> None:
    with (
        pytest.raises(ValueError, match="choose since < until <= 3"),
        attached(llava.model, Glimpsing(since=since, until=until)),
    ):
        llava.model(**llava.inputs(ROWS[:1]))


def test_attention_that_takes_no_mask_is_refused_with_a_way_out(
    llava: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llava.model.config.text_config, "_attn_implementation_internal", "flash_attention_2")

    with pytest.raises(ValueError, match="attn_implementation='sdpa'"), attached(llava.model, LOOKING):
        llava.model(**llava.inputs(ROWS[:1]))


def test_an_allocation_of_a_glimpse_is_checked_like_any_other(llava: Tiny) -> None:
    def wordless(context: Context) -> Allocation:
        return Allocation(**{**vars(keep_all(context)), "keep": context.visual})

    for stub in (Glimpsing(first=wordless), Glimpsing(then=wordless)):
        with pytest.raises(ValueError, match=r"drops \d+ text tokens"), attached(llava.model, stub):
            llava.model(**llava.inputs(ROWS))

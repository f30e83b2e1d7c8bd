"""The laws of dropping tokens between layers, for every family whose decoder is a plain stack."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch

from arr_coc.adapters.tiny import Tiny
from arr_coc.allocation import Allocation, Stage
from arr_coc.attach import attached
from arr_coc.cache import CACHE
from arr_coc.family import FAMILIES
from arr_coc.parts import parts_of
from arr_coc.types import Context
from tests.deep import Falling, explained, hidden_from
from tests.laws import BROKEN, CLOSE
from tests.laws.memory import cached_against_repeated, searched, turns
from tests.runs import ROWS, STEPS, apart, batches, even, generated, longer, positions, tiny_model, watched
from tests.stubs import Some, allocation, keep_all

WINDOWED = {"aya_vision", "cohere2_vision", "exaone4_5", "gemma3", "gemma3n", "gemma4"}
RECURRENT = {"lfm2_vl", "minicpmv4_6", "qwen3_5", "qwen3_5_moe"}
PLAIN = [name for name in FAMILIES if name not in WINDOWED | RECURRENT | set(BROKEN)]
LOOKING = Falling(by_attention=True)
WEIGHED = Falling(by_attention=True, precision=True, merged=True)
CASES = [Falling(), LOOKING, Falling(((0, 0.5), (2, 0.3)), words=1, by_attention=True), WEIGHED]
thorough = pytest.mark.parametrize("family", ["llava", "qwen2_vl", "qwen3_vl"])


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def off_the_oracle(tiny: Tiny, stub: Any, inputs: dict[str, torch.Tensor]) -> float:
    with attached(tiny.model, stub) as trace:
        pruned = tiny.model(**inputs).logits
    keep = trace[0].deeper[-1].keep
    return apart(pruned[keep], explained(tiny, inputs, trace[0])[keep])


@pytest.mark.parametrize("family", PLAIN)
def test_a_layer_of_any_plain_family_is_one_that_does_not_see_what_was_dropped(family: str) -> None:
    tiny = tiny_model(family, "sdpa")

    assert off_the_oracle(tiny, LOOKING, tiny.inputs(ROWS)) <= CLOSE


@thorough
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_pruned_layers_are_full_ones_with_masks_in_any_batch(family: str, attention: str) -> None:
    tiny = tiny_model(family, attention)

    for stub in CASES:
        assert max(off_the_oracle(tiny, stub, inputs) for inputs in batches(tiny)) <= CLOSE


@thorough
@pytest.mark.parametrize("stub", [LOOKING, WEIGHED], ids=["dropped", "weighed"])
def test_decoding_goes_on_over_caches_of_different_lengths(family: str, stub: Falling) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs(ROWS)

    with attached(tiny.model, stub) as trace:
        run = generated(tiny, inputs)

    words = run.sequences[:, -STEPS:]
    for n in range(STEPS):
        whole = explained(tiny, longer(tiny, inputs, words[:, :n]), trace[0])
        assert apart(run.logits[n], whole[:, -1]) <= CLOSE
    held = [layer.keys.shape[2] for layer in getattr(run, CACHE).layers]
    longest = [int(step.keep.sum(1).max()) for step in (trace[0], *trace[0].deeper)]
    assert held == [length + STEPS - 1 for length in longest]
    assert longest == sorted(set(longest), reverse=True)


@pytest.mark.parametrize(("family", "attention"), [("llava", "eager"), ("qwen3_vl", "sdpa")])
def test_a_cache_is_recomputation_also_for_beams_and_later_turns(family: str, attention: str) -> None:
    tiny = tiny_model(family, attention)
    deep = [Falling(by_question=0), Falling(by_question=0, precision=True)]

    for rows in (ROWS, ROWS[:1]):
        assert cached_against_repeated(tiny, LOOKING, rows, static=False) <= CLOSE
    assert searched(tiny, WEIGHED) <= CLOSE
    assert max(turns(tiny, stub, batch) for stub in deep for batch in (1, 2)) <= CLOSE


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
def test_what_words_attend_to_is_what_the_model_says_when_it_is_asked_for_its_weights(family: str) -> None:
    heard: list[Context] = []

    def listen(context: Context) -> Allocation:
        heard.append(context)
        return allocation(context, context.valid)

    def decide(context: Context) -> Allocation:
        first = Some()(context)
        return Allocation(**{**vars(first), "then": Stage(2, listen)})

    inputs = tiny_model(family, "sdpa").inputs(ROWS)
    with attached(tiny_model(family, "sdpa").model, decide) as trace:
        tiny_model(family, "sdpa").model(**inputs)

    eager = tiny_model(family, "eager")
    layer = parts_of(eager.model).decoder.layers[1].self_attn
    said: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda module, args, output: said.append(output[1]))
    with hidden_from(eager, [trace[0]], trace[0].keep):
        eager.model(**inputs | positions(eager, inputs), use_cache=False)
    hook.remove()
    (context,) = heard
    for row, text in enumerate(context.text):
        expected = said[0][row].mean(0)[text]
        expected = torch.where(trace[0].keep[row], expected, 0.0)
        got = context.attention[row, : len(expected)]
        assert torch.allclose(got, expected, atol=1e-6)
        assert not context.attention[row, len(expected) :].any()


@thorough
def test_a_schedule_that_drops_nothing_is_the_untouched_model_and_leaves_nothing_behind(family: str) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs(ROWS)

    def state() -> list[Any]:
        return [
            (type(module), sorted(vars(module)), len(module._forward_pre_hooks), len(module._forward_hooks))
            for module in tiny.model.modules()
        ]

    before, plain = state(), generated(tiny, inputs)
    with attached(tiny.model, Falling(((0, 1.0), (1, 1.0), (2, 1.0)))) as trace:
        deep = generated(tiny, inputs)
    assert max(map(apart, deep.logits, plain.logits)) <= CLOSE
    assert len(trace[0].deeper) == 2
    with pytest.raises(ZeroDivisionError), attached(tiny.model, Breaking()):
        tiny.model(**inputs)
    assert state() == before
    assert apart(tiny.model(**inputs).logits, tiny.model(**inputs).logits) == 0
    assert max(map(apart, generated(tiny, inputs).logits, plain.logits)) == 0


class Breaking:
    """Fails between two layers."""

    def __call__(self, context: Context) -> Allocation:
        return Allocation(**{**vars(Some()(context)), "then": Stage(1, lambda context: 1 // 0)})


def test_layers_are_really_given_what_the_record_says(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS)
    layers = parts_of(llava.model).decoder.layers
    with attached(llava.model, LOOKING) as trace, watched(layers[0]) as first:
        inner = [layer.self_attn for layer in layers]
        with watched(inner[0]) as a, watched(inner[1]) as b, watched(inner[2]) as c:
            llava.model(**inputs)

    words = (trace[0].keep.sum(1) - trace[0].by_layer[:, 0])[:, None]
    expected = (trace[0].by_layer + words).amax(0).tolist()
    assert [calls[0]["hidden_states"].shape[1] for calls in (a, b, c)] == expected
    assert first[0]["hidden_states"].shape[1] == expected[0]
    assert trace[0].token_layers.tolist() == trace[0].by_layer.sum(1).tolist()


def test_a_cache_may_be_copied_cropped_and_gone_on_with_in_another_block(llava: Tiny) -> None:
    inputs = llava.inputs(even(llava))
    word = torch.full((2, 1), 40)
    with attached(llava.model, LOOKING):
        past = llava.model(**inputs, use_cache=True)[CACHE]
        kept = deepcopy(past)
        once = llava.model(input_ids=word, **{CACHE: past}).logits
    with attached(llava.model, keep_all):
        assert apart(llava.model(input_ids=word, **{CACHE: deepcopy(kept)}).logits, once) <= CLOSE
        llava.model(input_ids=torch.full((2, 3), 50), **{CACHE: kept})
        kept.crop(-3)
        assert apart(llava.model(input_ids=word, **{CACHE: kept}).logits, once) <= CLOSE
        kept.crop(-2)  # and one word of the prompt
        with pytest.raises(ValueError, match="crop fewer"):
            kept.crop(-40)


@pytest.mark.parametrize("family", sorted((WINDOWED | RECURRENT) & set(FAMILIES)))
def test_windows_and_states_are_refused_with_a_way_out(family: str) -> None:
    tiny = tiny_model(family, "sdpa")

    with (
        pytest.raises(ValueError, match="choose a method that decides before"),
        attached(tiny.model, LOOKING),
    ):
        tiny.model(**tiny.inputs(ROWS[:1]))


def test_static_caches_and_impossible_layers_are_refused_with_a_way_out(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS[:1])
    with attached(llava.model, LOOKING), pytest.raises(ValueError, match="static cache"):
        generated(llava, inputs, cache_implementation="static", disable_compile=True)
    for layer in (0, 3):
        stub = Falling(((0, 0.5), (layer, 0.2)))
        with attached(llava.model, stub), pytest.raises(ValueError, match="from 1 to 2"):
            llava.model(**inputs)

"""What an allocator is shown, and what a model answers, in every way to call a model that shows pictures."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from arr_coc.adapters.grids import unknown
from arr_coc.adapters.tiny import PICTURE, Row, Tiny
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.family import FAMILIES, Family
from arr_coc.types import Context
from tests.laws.memory import turns
from tests.runs import ROWS, STEPS, apart, generated, positions, tiny_model
from tests.stubs import Some, allocation


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def contexts(tiny: Tiny, run: Callable[[], Any]) -> list[Context]:
    """What an allocator is shown while `run` runs."""
    seen: list[Context] = []

    def look(context: Context) -> Allocation:
        seen.append(context)
        return Some()(context)

    with attached(tiny.model, look):
        run()
    return seen


def test_text_alone_is_no_prefill(tiny: Tiny) -> None:
    inputs = tiny.inputs([Row(3, (7,))])
    plain = tiny.model(**inputs).logits

    with attached(tiny.model, Some()) as trace:
        assert torch.equal(tiny.model(**inputs).logits, plain)

    assert trace == []


def test_one_prefill_leaves_one_allocation_with_what_it_took(tiny: Tiny) -> None:
    with attached(tiny.model, Some()) as trace:
        generated(tiny, tiny.inputs(ROWS), num_beams=2)

    assert len(trace) == 1
    assert trace[0].select_ms is not None
    assert trace[0].keep.shape[0] == 2 * len(ROWS)


def test_pictures_and_grids_are_the_same_in_forward_generate_and_beams(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)

    (plain,) = contexts(tiny, lambda: tiny.model(**inputs))
    (greedy,) = contexts(tiny, lambda: generated(tiny, inputs))
    (beams,) = contexts(tiny, lambda: generated(tiny, inputs, num_beams=2))

    assert plain.grid.shape == (4, 2, 3)
    shown = torch.tensor([[True, False], [True, True], [False, False], [True, False]])
    told = shown & (FAMILIES[tiny.model.config.model_type].grids is not unknown)
    assert torch.equal(plain.grid.prod(-1) > 0, told)
    for other, times in ((greedy, 1), (beams, 2)):
        assert torch.equal(other.grid, plain.grid.repeat_interleave(times, 0))
        assert torch.equal(other.picture, plain.picture.repeat_interleave(times, 0))


@pytest.mark.parametrize(
    ("family", "grid"),
    [("qwen2_vl", [[2, 4, 4]]), ("qwen2_5_vl", [[2, 4, 4]]), ("qwen3_vl", [[1, 4, 4], [1, 4, 4]])],
)
def test_a_film_has_a_time_axis_and_timestamps_part_it(family: str, grid: list[list[int]]) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs([Row(5, (4, "video", 6))])

    (plain,) = contexts(tiny, lambda: tiny.model(**inputs))
    (greedy,) = contexts(tiny, lambda: generated(tiny, inputs))

    assert plain.grid[0].tolist() == greedy.grid[0].tolist() == grid


def test_a_film_and_a_picture_in_one_batch_get_their_grids_from_the_positions() -> None:
    tiny = tiny_model("qwen2_5_vl", "sdpa")

    (context,) = contexts(tiny, lambda: tiny.model(**tiny.inputs([Row(6, (2, "video", 3, "image", 5))])))

    assert context.grid.tolist() == [[[2, 4, 4], [1, 6, 6]]]


def test_the_question_is_the_prompt_even_when_every_step_is_a_prefill(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS[:2])

    steps = contexts(tiny, lambda: generated(tiny, inputs, use_cache=False))
    twice = contexts(tiny, lambda: [generated(tiny, inputs) for _ in range(2)])

    assert len(steps) == STEPS
    assert all(torch.equal(step.text.sum(1), steps[0].text.sum(1)) for step in steps)
    assert torch.equal(twice[1].text, twice[0].text)


def test_what_was_answered_is_kept_though_an_allocator_sees_only_the_question(llava: Tiny) -> None:
    def only_the_question(context: Context) -> Allocation:
        return allocation(context, context.text)

    with attached(llava.model, only_the_question) as trace:
        generated(llava, llava.inputs(ROWS[:1]), use_cache=False)

    assert [step.seen for step in trace] == [14, 15, 16]


def test_another_question_about_the_same_picture_is_another_question(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS[:1])
    other = inputs | {"input_ids": inputs["input_ids"].flip(1)}
    more = {k: torch.cat([v, v[:, :1]], 1) if k != "pixel_values" else v for k, v in other.items()}

    asked = contexts(llava, lambda: [llava.model(**x) for x in (inputs, other, more)])

    assert [int(context.text.sum()) for context in asked] == [14, 14, 14]


def test_a_placeholder_that_brings_no_picture_is_text() -> None:
    tiny = tiny_model("qwen2_5_vl", "sdpa")
    inputs = tiny.inputs([Row(5, (4, "video", 6))])
    inputs["input_ids"][0, 2] = PICTURE

    (context,) = contexts(tiny, lambda: tiny.model(**inputs))

    assert context.text[0, 2]
    assert context.visual.sum() == 32


def test_embeddings_in_place_of_ids_are_pruned_alike(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)
    if tiny.model.config.model_type == "gemma4":
        pytest.skip("Gemma 4 wants to know the words: it has inputs for every layer")
    at = positions(tiny, inputs)
    # Types only serve to find positions, where there is something to find.
    unused = ("input_ids", "mm_token_type_ids") if at else ("input_ids",)
    instead = {name: value for name, value in inputs.items() if name not in unused}
    instead["inputs_embeds"] = tiny.model.get_input_embeddings()(inputs["input_ids"])
    taken = inspect.signature(tiny.model.forward).parameters
    if tiny.model.config.model_type == "perception_lm" and "mm_encoder_outputs" not in taken:
        pytest.skip("in this transformers, PerceptionLM takes pictures beside ids only")
    if tiny.model.config.model_type == "gemma3n":
        if "per_layer_inputs" not in taken:
            pytest.skip("this transformers does not let Gemma 3n be given its inputs for every layer")
        layered = tiny.model.base_model.language_model.get_per_layer_inputs(inputs["input_ids"])
        instead["per_layer_inputs"] = layered

    with attached(tiny.model, Some()) as trace:
        by_ids = tiny.model(**inputs | at).logits
        by_embeds = tiny.model(**instead | at).logits

    assert torch.equal(trace[1].keep, trace[0].keep)
    assert apart(by_embeds, by_ids) == 0


def test_hidden_states_stand_in_their_places_with_zeros_where_tokens_were_dropped(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)

    with attached(tiny.model, Some()) as trace:
        hidden = tiny.model.model(**inputs).last_hidden_state

    assert torch.equal(hidden.abs().sum(-1) > 0, trace[0].keep)


def test_the_last_logits_alone_are_the_last_of_all(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)
    plain = tiny.model(**inputs, logits_to_keep=3).logits

    with attached(tiny.model, Some()):
        everything = tiny.model(**inputs).logits
        last = tiny.model(**inputs, logits_to_keep=3).logits

    assert last.shape == plain.shape  # VideoLLaMA 3 and MiniCPM-V give all of them whatever they are asked
    assert apart(last[:, -3:], everything[:, -3:]) < 1e-5


def test_a_loss_over_the_answer_can_be_trained_through_a_pruned_prefill(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS[:1])
    labels = inputs["input_ids"].masked_fill(inputs["input_ids"] == PICTURE, -100)

    with torch.enable_grad(), attached(llava.model, Some()):
        loss = llava.model(**inputs, labels=labels).loss
        (gradient,) = torch.autograd.grad(loss, llava.model.lm_head.weight)

    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_a_family_is_declared_with_data_alone(llava: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = Family(
        grids=lambda config, inputs: None,
        tiny=FAMILIES["llava"].tiny,
        modalities=FAMILIES["llava"].modalities,
    )
    monkeypatch.setitem(FAMILIES._parts, "llava", declared)

    (context,) = contexts(llava, lambda: llava.model(**llava.inputs(ROWS)))

    assert context.picture.amax(1).tolist() == [0, 1, -1, 0]
    assert not context.grid.any()


RECURRENT = [name for name in FAMILIES if FAMILIES[name].recurrent]


@pytest.mark.parametrize("family", RECURRENT)
def test_recurrent_rows_that_keep_different_numbers_in_a_later_turn_are_refused(family: str) -> None:
    with pytest.raises(ValueError, match="keep the same number in every row"):
        turns(tiny_model(family, "sdpa"), Some(), 2)


def test_a_recurrent_decoder_skips_what_is_dropped_and_so_differs_from_one_that_masks_it() -> None:
    tiny = tiny_model("lfm2_vl", "sdpa")
    inputs = tiny.inputs(ROWS[:1])
    with attached(tiny.model, Some()) as trace:
        skipped = tiny.model(**inputs).logits[:, -1]

    masked = tiny.model(**inputs | {"attention_mask": trace[0].keep.long()}).logits[:, -1]

    assert apart(skipped, masked) > 1e-2


@pytest.mark.parametrize("family", ["gemma3", "aya_vision"])
def test_a_sliding_window_counts_the_tokens_that_are_kept(family: str) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs([Row(7, (20, "image", 4))])
    text = tiny.model.config.text_config

    def only_text(context: Context) -> Allocation:
        return allocation(context, context.text)

    with attached(tiny.model, only_text):
        wide = tiny.model(**inputs).logits[:, -1]
    before = text.sliding_window
    text.sliding_window = 27
    try:
        with attached(tiny.model, only_text) as trace:
            narrow = tiny.model(**inputs).logits[:, -1]
    finally:
        text.sliding_window = before

    assert trace[0].seen is not None
    assert trace[0].seen <= 27
    assert inputs["input_ids"].shape[1] > 2 * 27
    assert apart(narrow, wide) == 0

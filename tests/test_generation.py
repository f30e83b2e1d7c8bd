"""Every way to generate with a pruned prompt; the oracle computes each step anew, without a cache."""

import json
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from arr_coc.adapters.tiny import Row, Tiny, decoder
from arr_coc.attach import attached
from arr_coc.cache import CACHE
from arr_coc.family import FAMILIES
from tests.runs import (
    ROWS,
    STEPS,
    WINDOW,
    Inputs,
    apart,
    even,
    generated,
    joined,
    longer,
    positions,
    sliding,
    tiny_model,
    worst,
)
from tests.stubs import Some

CLOSE = 1e-4
NAMES = ["llava", "qwen2_5_vl", "qwen3_vl", "gemma3", "idefics3", "internvl"]
IN_A_ROW = [Row(8, (3, "image", "image", 4)), Row(9, ("image", 2, "image", "image", 6)), Row(10, (9,))]
"""Several pictures in a row, one first in its row, and none."""


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(params=NAMES)
def tiny(request: pytest.FixtureRequest) -> Tiny:
    return tiny_model(request.param, "sdpa")


def recomputed(tiny: Tiny, inputs: Inputs, words: Tensor) -> list[Tensor]:
    """The logits of every step from the whole prompt and what was written before it, without a cache."""
    steps = range(words.shape[1])
    return [tiny.model(**longer(tiny, inputs, words[:, :n]), use_cache=False).logits[:, -1] for n in steps]


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}], ids=["sample", "beam sample"])
def test_a_seed_gives_the_same_sample_with_and_without_a_cache(tiny: Tiny, options: dict[str, Any]) -> None:
    sample = partial(generated, tiny, tiny.inputs(ROWS[:1]), do_sample=True, temperature=2.0, **options)

    with attached(tiny.model, Some()):
        torch.manual_seed(5)
        cached = sample()
        torch.manual_seed(5)
        uncached = sample(use_cache=False)
        torch.manual_seed(6)
        other = sample()

    assert torch.equal(cached.sequences, uncached.sequences)
    assert worst(cached, uncached.logits) < CLOSE
    assert not torch.equal(other.sequences, cached.sequences)


def test_guesses_looked_up_in_the_prompt_are_no_part_of_the_question(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS[:1])
    inputs["input_ids"][:, -2:] = inputs["input_ids"][:, 1:3]  # so that the first call guesses already

    with attached(tiny.model, Some()) as trace:
        greedy = generated(tiny, inputs, max_new_tokens=9)
        assisted = generated(tiny, inputs, max_new_tokens=9, prompt_lookup_num_tokens=3)

    seq = inputs["input_ids"].shape[1]
    assert trace[1].keep.shape[1] > seq, "nothing was guessed"
    assert torch.equal(trace[1].keep[:, :seq], trace[0].keep)
    assert torch.equal(assisted.sequences, greedy.sequences)


def test_an_assistant_that_reads_words_only_helps_to_write_the_same() -> None:
    # transformers hands M-RoPE's token types to the assistant too, which refuses them: attached or not.
    llava = tiny_model("llava", "sdpa")
    inputs = llava.inputs(ROWS[:1])
    assistant = transformers.LlamaForCausalLM(transformers.LlamaConfig(**decoder("llama"))).eval()
    assistant.generation_config.eos_token_id = None

    with attached(llava.model, Some()):
        greedy = generated(llava, inputs, max_new_tokens=9)
        assisted = generated(llava, inputs, max_new_tokens=9, assistant_model=assistant)

    assert torch.equal(assisted.sequences, greedy.sequences)


@pytest.mark.parametrize("side", ["left", "right"])
def test_pictures_in_a_row_are_cut_each_on_its_own(tiny: Tiny, side: str) -> None:
    inputs = tiny.inputs(IN_A_ROW, side)

    with attached(tiny.model, Some()) as trace:
        together = tiny.model(**inputs).logits

    assert (trace[0].budget > 0).tolist() == [[True, True, False], [True, True, True], [False] * 3]
    hidden = inputs | positions(tiny, inputs) | {"attention_mask": trace[0].keep.long()}
    assert apart(together[trace[0].keep], tiny.model(**hidden).logits[trace[0].keep]) < CLOSE


def test_pictures_in_a_row_with_ragged_budgets_generate_as_recomputed(tiny: Tiny) -> None:
    inputs = tiny.inputs(IN_A_ROW)

    with attached(tiny.model, Some()) as trace:
        run = generated(tiny, inputs)
        oracle = recomputed(tiny, inputs, run.sequences[:, -STEPS:])

    assert len(set(trace[0].keep.sum(1).tolist())) > 1
    assert worst(run, oracle) < CLOSE


@pytest.mark.parametrize("family", [name for name in NAMES if "video" in FAMILIES[name].tiny().shown])
def test_films_and_pictures_in_one_batch_generate_as_recomputed(family: str) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs([Row(5, (4, "video", 6)), Row(6, (2, "image", 3, "video", 5))])

    with attached(tiny.model, Some()):
        run = generated(tiny, inputs)
        oracle = recomputed(tiny, inputs, run.sequences[:, -STEPS:])

    assert worst(run, oracle) < CLOSE


@pytest.mark.parametrize(
    "family", [name for name in NAMES if name != "gemma3"]
)  # its generate() refuses them
def test_embeddings_in_place_of_ids_generate_the_same(family: str) -> None:
    tiny = tiny_model(family, "sdpa")
    inputs = tiny.inputs(ROWS[:1])
    words = {"inputs_embeds": tiny.model.get_input_embeddings()(inputs["input_ids"])}

    with attached(tiny.model, Some()):
        by_ids = generated(tiny, inputs)
        # With the ids beside them, which M-RoPE counts its positions on.
        both = generated(tiny, inputs | words)

    assert torch.equal(both.sequences[:, -STEPS:], by_ids.sequences[:, -STEPS:])
    assert worst(both, by_ids.logits) < CLOSE


def test_three_turns_each_with_a_picture_are_the_whole_conversation_at_once(tiny: Tiny) -> None:
    # Budgets that do not depend on the question, which is longer when the turns come at once.
    turns = [[Row(20, (4, "image", 9)), Row(21, (6, "image", 7))], even(tiny), [Row(22, (1, "image", 3))] * 2]
    parts = [tiny.inputs(rows) for rows in turns]
    whole = joined(tiny, *turns)
    at = positions(tiny, whole)

    with attached(tiny.model, Some(by_question=0)) as trace:
        once = tiny.model(**whole | at).logits[:, -1]
        past, start = None, 0
        for part in parts:
            end = start + part["input_ids"].shape[1]
            place = {name: value[..., start:end] for name, value in at.items()}
            mask = {"attention_mask": whole["attention_mask"][:, :end]}
            turn = tiny.model(**part | place | mask | {CACHE: past}, use_cache=True)
            past, start = turn[CACHE], end

    assert apart(turn.logits[:, -1], once) < CLOSE
    assert past.get_query_offset() < past.get_seq_length() == whole["input_ids"].shape[1]
    assert len(trace) == 1 + len(turns)


def test_a_chat_goes_on_after_an_answer_with_a_second_picture() -> None:
    """As a user does: the whole conversation again, with the cache of the turn before."""
    tiny = tiny_model("llava", "sdpa")
    first, second = tiny.inputs(ROWS[:1]), tiny.inputs([Row(12, (2, "image", 5))])

    with attached(tiny.model, Some(by_question=0)):
        answered = generated(tiny, first)
        whole = {
            "input_ids": torch.cat([answered.sequences, second["input_ids"]], 1),
            "pixel_values": second["pixel_values"],
        }
        cached = generated(tiny, whole, **{CACHE: answered[CACHE]})
        both = {"pixel_values": torch.cat([first["pixel_values"], second["pixel_values"]])}
        anew = generated(tiny, whole | both, use_cache=False)

    assert torch.equal(cached.sequences, anew.sequences)
    assert worst(cached, anew.logits) < CLOSE


def test_one_prompt_many_continuations_from_deep_copies_of_its_cache(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS[:1])
    endings = [torch.tensor([[40, 41, 42]]), torch.tensor([[50, 51]])]

    with attached(tiny.model, Some(by_question=0)):
        past = tiny.model(**inputs, use_cache=True)[CACHE]
        for ending in endings:
            more = longer(tiny, inputs, ending)
            text = {name: more[name] for name in ("input_ids", "attention_mask")}
            run = generated(tiny, text, **{CACHE: deepcopy(past)})

            assert worst(run, recomputed(tiny, more, run.sequences[:, -STEPS:])) < CLOSE
            assert past.get_seq_length() == inputs["input_ids"].shape[1]


@pytest.mark.parametrize("how", ["eager", "sdpa"])
def test_a_sliding_window_counts_what_is_kept_with_and_without_a_cache(how: str) -> None:
    tiny = sliding(how)
    inputs = tiny.inputs(ROWS)

    with attached(tiny.model, Some()) as trace:
        run = generated(tiny, inputs)
        oracle = recomputed(tiny, inputs, run.sequences[:, -STEPS:])
        static = generated(tiny, inputs, cache_implementation="static", disable_compile=True)

    assert (trace[0].seen or 0) > WINDOW
    assert worst(run, oracle) < CLOSE
    assert worst(static, oracle) < CLOSE
    full = tiny.model(**inputs | {"attention_mask": trace[0].keep.long()}).logits
    assert apart(run.logits[0], full[:, -1]) > 1e-3, "the window must bite, or this says nothing"


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_the_compiled_decode_step_is_one_graph_without_a_break(family: str) -> None:
    # In a process of its own: what checks shape annotations while testing cannot be traced.
    done = subprocess.run(
        [sys.executable, "-m", "tests.compiled", family], check=True, capture_output=True, text=True
    )

    for stub, found in json.loads(done.stdout).items():
        assert found["graphs"] == found["graphs_unattached"], stub
        assert found["breaks"] == [], stub
        assert found["worst"] < CLOSE, stub

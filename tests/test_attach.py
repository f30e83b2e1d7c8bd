"""What attaching takes, what it refuses, and how it says so."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from arr_coc.adapters.tiny import Tiny
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.cache import CACHE
from arr_coc.family import FAMILIES
from arr_coc.types import Context
from tests.runs import ROWS
from tests.stubs import Some, keep_all


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_a_family_nobody_declared_is_refused_with_the_way_to_declare_it() -> None:
    model = LlamaForCausalLM(
        LlamaConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=8)
    )

    with (
        pytest.raises(ValueError, match=r"'llama'.*qwen2_vl.*FAMILIES\.add\('llama', Family"),
        attached(model, keep_all),
    ):
        pass


def test_a_model_without_the_declared_decoder_is_refused(
    llava: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(FAMILIES["llava"], language_model="text_model")
    monkeypatch.setitem(FAMILIES._parts, "llava", wrong)

    with (
        pytest.raises(ValueError, match=r"'text_model' in LlavaModel.*correct the Family's paths"),
        attached(llava.model, keep_all),
    ):
        pass


@pytest.mark.parametrize("thing", [3, SimpleNamespace(model=4), torch.nn.Linear(1, 1)])
def test_what_is_not_a_model_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="pass the model inside it"), attached(thing, keep_all):
        pass


def test_a_model_is_attached_once_at_a_time(llava: Tiny) -> None:
    with (
        attached(llava.model, keep_all),
        pytest.raises(ValueError, match="leave the first `with` block"),
        attached(llava.model, keep_all),
    ):
        pass
    with attached(llava.model, keep_all) as trace:
        llava.model(**llava.inputs(ROWS[:1]))

    assert len(trace) == 1


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("keep", torch.ones(1, 2, dtype=torch.bool), r"Allocation\.keep must have the shape \(4, 1\d\d\)"),
        ("bias", torch.zeros(1, 2), r"Allocation\.bias must have the shape"),
        ("embeds", torch.zeros(1, 2, 3), r"Allocation\.embeds must have the shape"),
        ("keep", None, r"drops \d+ text tokens; only visual tokens may go: use keep ="),
    ],
)
def test_an_allocation_that_does_not_fit_the_prefill_is_refused(
    llava: Tiny, name: str, value: Tensor | None, says: str
) -> None:
    inputs = llava.inputs(ROWS)
    plain = llava.model(**inputs).logits

    def wrong(context: Context) -> Allocation:
        decided = keep_all(context)
        # Past the annotations, which only tests check.
        object.__setattr__(decided, name, context.visual if value is None else value)
        return decided

    with pytest.raises(ValueError, match=says), attached(llava.model, wrong):
        llava.model(**inputs)

    assert torch.equal(llava.model(**inputs).logits, plain)


def test_a_picture_with_nan_is_reported_and_the_model_recovers(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)
    plain = tiny.model(**inputs).logits
    pixels = inputs["pixel_values"]
    # Where there are any: idefics tells from zeros that a row has fewer pictures.
    broken = inputs | {"pixel_values": pixels.masked_fill(pixels != 0, float("nan"))}

    with attached(tiny.model, keep_all):
        with pytest.raises(ValueError, match="check the picture"):
            tiny.model(**broken)
        again = tiny.model(**inputs).logits

    assert torch.equal(again, plain)
    assert torch.equal(tiny.model(**inputs).logits, plain)


def test_a_ready_made_mask_is_refused(llava: Tiny) -> None:
    inputs = llava.inputs(ROWS[:1])
    seq = inputs["input_ids"].shape[1]
    inputs["attention_mask"] = torch.zeros(1, 1, seq, seq)

    with pytest.raises(ValueError, match="2-D padding mask"), attached(llava.model, Some()):
        llava.model(**inputs)


def test_a_mask_over_new_tokens_only_is_refused_on_a_pruned_cache(llava: Tiny) -> None:
    words = torch.tensor([[40, 41]])

    with attached(llava.model, Some()):
        past = llava.model(**llava.inputs(ROWS[:1]), use_cache=True)[CACHE]
        with pytest.raises(ValueError, match="mask over the whole conversation"):
            llava.model(input_ids=words, attention_mask=torch.ones_like(words), **{CACHE: past})


def test_flash_attention_is_refused_for_a_picture_in_a_later_turn(
    llava: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = llava.inputs(ROWS[:1]), llava.inputs([ROWS[3]])
    del second["attention_mask"]

    with attached(llava.model, Some()):
        past = llava.model(**first, use_cache=True)[CACHE]
        monkeypatch.setattr(
            llava.model.config.text_config, "_attn_implementation_internal", "flash_attention_2"
        )
        with pytest.raises(ValueError, match="attn_implementation='sdpa'"):
            llava.model(**second, **{CACHE: past})


def test_pipelines_and_peft_models_are_looked_into(llava: Tiny) -> None:
    class Wrapper(torch.nn.Module):
        def get_base_model(self) -> Any:
            return llava.model

    for outer in (SimpleNamespace(model=llava.model), Wrapper()):
        with attached(outer, Some()) as trace:
            llava.model(**llava.inputs(ROWS[:1]))

        assert trace[0].seen == trace[0].keep.sum()

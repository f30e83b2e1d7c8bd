"""What is excused from the laws is so because of the model: it fails in the same way with nothing dropped."""

from collections.abc import Iterator

import pytest
import torch

from arr_coc.adapters.tiny import Tiny
from tests.laws import BROKEN, CLOSE, EXCUSED, ROUGHER
from tests.laws.memory import searched, turns
from tests.runs import ROWS, apart, generated, tiny_model
from tests.stubs import keep_all


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("family", [family for family, name in EXCUSED if name == "next_turn"])
def test_two_turns_are_not_one_prompt_without_arr_coc_either(family: str) -> None:
    assert turns(tiny_model(family, "sdpa"), keep_all, 1) > 100 * CLOSE


@pytest.mark.parametrize("family", [family for family, name in EXCUSED if name == "cached"])
def test_a_cache_changes_what_is_said_without_arr_coc_as_well(family: str) -> None:
    assert searched(tiny_model(family, "sdpa"), keep_all) > 100 * CLOSE


@pytest.mark.parametrize("family", BROKEN)
def test_a_broken_model_does_not_generate_without_arr_coc_either(family: str) -> None:
    tiny = tiny_model(family, "sdpa")

    def run() -> None:
        for options in ({"num_beams": 2}, {"cache_implementation": "static", "disable_compile": True}):
            generated(tiny, tiny.inputs(ROWS[:1]), **options)

    with pytest.raises((AttributeError, TypeError, ValueError)):
        run()


@pytest.mark.parametrize("family", ROUGHER)
def test_a_rougher_model_rounds_more_than_others_without_arr_coc_too(family: str) -> None:
    assert rounding(tiny_model(family, "sdpa", torch.bfloat16)) > 2 * rounding(
        tiny_model("llava", "sdpa", torch.bfloat16)
    )


def rounding(tiny: Tiny) -> float:
    """How far rows of a batch are from the same rows alone, with nothing attached."""
    inputs = tiny.inputs(ROWS)
    together, real = tiny.model(**inputs).logits, inputs["attention_mask"].bool()
    alone = [tiny.model(**tiny.inputs([row])).logits[0] for row in ROWS]
    return max(apart(together[n][real[n]], logits) for n, logits in enumerate(alone))

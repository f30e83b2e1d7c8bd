"""What is excused from the laws is so because of the model: it fails in the same way with nothing dropped."""

from collections.abc import Iterator

import pytest
import torch

from tests.laws import BROKEN, CLOSE, EXCUSED
from tests.laws.memory import searched, turns
from tests.runs import ROWS, generated, tiny_model
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

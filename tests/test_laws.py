"""Every law of attaching, for every family, both attention implementations that CPUs have, two precisions."""

from collections.abc import Iterator

import pytest
import torch

from arr_coc.adapters.tiny import Tiny
from arr_coc.family import FAMILIES
from tests.laws import BROKEN, EXCUSED, LAWS, allowed
from tests.laws.pruning import felt
from tests.runs import FELT, tiny_model

pytestmark = [
    pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"]),
    pytest.mark.parametrize("attention", ["eager", "sdpa"]),
    pytest.mark.parametrize("family", [name for name in FAMILIES if name not in BROKEN]),
]


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def model(family: str, attention: str, dtype: torch.dtype) -> Tiny:
    return tiny_model(family, attention, dtype)


@pytest.mark.parametrize("name", LAWS)
def test_the_law_holds(name: str, family: str, attention: str, model: Tiny, dtype: torch.dtype) -> None:
    if (family, name) in EXCUSED:
        pytest.skip(f"nor does it without arr-coc (see test_excused): {EXCUSED[family, name]}")

    assert LAWS[name][0](model) <= allowed(name, family, dtype)


def test_pruning_is_felt_so_that_the_laws_say_something(
    family: str, attention: str, model: Tiny, dtype: torch.dtype
) -> None:
    assert felt(model) > FELT[dtype]

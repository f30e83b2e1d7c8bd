"""Every law of attaching, for every family and both attention implementations that CPUs have."""

from collections.abc import Iterator

import pytest
import torch

from arr_coc.family import FAMILIES
from tests.laws import LAWS
from tests.laws.pruning import felt
from tests.runs import FELT, tiny_model

pytestmark = [
    pytest.mark.parametrize("attention", ["eager", "sdpa"]),
    pytest.mark.parametrize("family", FAMILIES),
]


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("name", LAWS)
def test_the_law_holds(name: str, family: str, attention: str) -> None:
    law, allowed = LAWS[name]

    assert law(tiny_model(family, attention)) <= allowed


def test_pruning_is_felt_so_that_the_laws_say_something(family: str, attention: str) -> None:
    assert felt(tiny_model(family, attention)) > FELT

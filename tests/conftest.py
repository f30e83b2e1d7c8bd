"""Check every shape annotation of arr_coc while testing, on one thread."""

import jaxtyping
import pytest
import torch

jaxtyping.install_import_hook("arr_coc", "beartype.beartype")
torch.set_num_threads(1)

from arr_coc.adapters.tiny import Tiny  # noqa: E402  (after the hook)
from arr_coc.family import FAMILIES  # noqa: E402
from tests.laws import BROKEN  # noqa: E402
from tests.runs import tiny_model  # noqa: E402


@pytest.fixture(params=[name for name in FAMILIES if name not in BROKEN])
def tiny(request: pytest.FixtureRequest) -> Tiny:
    """A tiny random model of every family."""
    return tiny_model(request.param, "sdpa")


@pytest.fixture
def llava() -> Tiny:
    """A tiny random LLaVA."""
    return tiny_model("llava", "sdpa")

"""The hooks that time a prefill stand outside of what they time, and go away."""

from dataclasses import dataclass
from time import sleep

import pytest
import torch

from arr_coc.adapters.llava import tiny
from arr_coc.adapters.tiny import Row
from arr_coc.allocation import Allocation
from arr_coc.attach import attached
from arr_coc.eval.timing import decoder, timed_prefill
from arr_coc.family import FAMILIES
from arr_coc.types import Context
from tests.stubs import Some


@dataclass(frozen=True)
class Slow:
    """Decides like another, after a while."""

    seconds: float

    def __call__(self, context: Context) -> Allocation:
        sleep(self.seconds)  # what is measured here is time itself
        return Some()(context)


def test_the_time_of_a_prefill_includes_the_decision_and_no_decoding() -> None:
    model, inputs = tiny().model, tiny().inputs([Row(0, (3, "image", 4))])

    with attached(model, Slow(0.2)) as trace, timed_prefill(model) as seen:
        model.generate(**inputs, max_new_tokens=3, do_sample=False)

    assert trace[0].select_ms is not None
    assert 200 <= trace[0].select_ms < seen.ms < 200 + 2000


def test_the_first_call_only_is_timed() -> None:
    model, inputs = tiny().model, tiny().inputs([Row(0, (3, "image", 4))])

    with timed_prefill(model) as seen, torch.no_grad():
        model(**inputs)
        first = seen.ms
        model(**inputs)

    assert seen.ms == first > 0


def test_a_family_that_nobody_declared_is_timed_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = tiny().model, tiny().inputs([Row(0, (3, "image", 4))])
    monkeypatch.delitem(FAMILIES._parts, "llava")

    with attached(model, Slow(0.2)) as trace, timed_prefill(model) as seen:
        model.generate(**inputs, max_new_tokens=2, do_sample=False)

    assert decoder(model) is model.model.language_model
    assert trace[0].select_ms is not None
    assert seen.ms > trace[0].select_ms >= 200  # not its trial, in which nothing is decided
    assert seen.kv_bytes > 0


def test_no_hook_is_left_behind() -> None:
    model = tiny().model

    try:
        with timed_prefill(model):
            raise RuntimeError
    except RuntimeError:
        pass

    assert not decoder(model)._forward_hooks
    assert not decoder(model)._forward_pre_hooks

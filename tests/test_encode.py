"""Pictures that are encoded once: another question about them takes no second look, and changes nothing."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from arr_coc.adapters.tiny import Row, Tiny
from arr_coc.attach import attached
from arr_coc.encode import encoded
from tests.runs import (
    ROWS,
    generated,
    longer,
    tiny_model,
    worst,
)
from tests.stubs import Some

NAMES = ["llava", "qwen2_5_vl", "qwen3_vl", "gemma3", "idefics3", "internvl"]


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(params=NAMES)
def tiny(request: pytest.FixtureRequest) -> Tiny:
    return tiny_model(request.param, "sdpa")


@contextmanager
def looks(tiny: Tiny) -> Iterator[Counter[str]]:
    """How often the vision tower runs."""
    count: Counter[str] = Counter()
    name, tower = next((n, m) for n, m in tiny.model.model.named_children() if "vis" in n)
    hook = tower.register_forward_hook(lambda *_: count.update([name]))
    try:
        yield count
    finally:
        hook.remove()


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"use_cache": False}], ids=str)
def test_a_second_question_selects_anew_without_a_second_look(tiny: Tiny, options: dict[str, Any]) -> None:
    first = tiny.inputs(ROWS)
    # The same pictures, asked about with other words, one more of them.
    other = longer(
        tiny, first, torch.randint(30, 310, (len(ROWS), 1), generator=torch.Generator().manual_seed(3))
    )
    with attached(tiny.model, Some()) as trace:
        plain = [generated(tiny, inputs, **options) for inputs in (first, other)]
        with looks(tiny) as count:
            seen = encoded(tiny.model, first)
            twice = [generated(tiny, seen.question(inputs), **options) for inputs in (first, other, first)]

    assert count.total() == 1
    for run, oracle in zip(twice, [*plain, plain[0]], strict=True):
        assert torch.equal(run.sequences, oracle.sequences)
        assert worst(run, list(oracle.logits)) == 0
    half = len(trace) // 5
    assert not torch.equal(trace[0].budget, trace[half].budget), "the other question kept as much"


def test_an_encoded_picture_is_taken_by_forward_as_the_pixels_are(tiny: Tiny) -> None:
    inputs = tiny.inputs(ROWS)

    with attached(tiny.model, Some()):
        plain = tiny.model(**inputs).logits
        seen = encoded(tiny.model, inputs)
        with looks(tiny) as count:
            again = [tiny.model(**seen.question(inputs)).logits for _ in range(2)]

    assert count.total() == 0
    assert torch.equal(again[0], plain)
    assert torch.equal(again[1], plain)


def test_a_film_is_encoded_like_a_picture() -> None:
    tiny = tiny_model("qwen2_5_vl", "sdpa")
    inputs = tiny.inputs([Row(5, (4, "video", 6)), Row(6, (2, "image", 3, "video", 5))])

    with attached(tiny.model, Some()):
        plain = generated(tiny, inputs)
        again = generated(tiny, encoded(tiny.model, inputs).question(inputs))

    assert worst(again, list(plain.logits)) == 0


def test_encoding_nothing_is_an_error_that_says_what_was_expected(tiny: Tiny) -> None:
    with pytest.raises(ValueError, match=r"no picture to encode: expected pixel_values.*got input_ids, att"):
        encoded(tiny.model, tiny.inputs([Row(3, (7,))]))


def test_a_model_that_takes_no_encoded_pictures_says_so(llava: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llava.model, "forward", lambda input_ids, pixel_values: None)

    with pytest.raises(ValueError, match=r"takes no encoded pictures.*pixels with every question"):
        encoded(llava.model, llava.inputs(ROWS))

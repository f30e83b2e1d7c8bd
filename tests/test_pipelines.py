"""The pipeline object that a user has: nano-llava in `image-text-to-text`."""

from functools import cache
from typing import Any

import pytest
from transformers import pipeline

from arr_coc import Allocator, attached
from arr_coc.eval.models import Loaded, load
from arr_coc.eval.nano.dataset import item
from arr_coc.eval.prompt import prompt

ALLOCATOR = Allocator(scorer="efe", budget=16)


@cache
def nano() -> Loaded:
    return load("nano-llava")


@pytest.fixture
def pipe() -> Any:
    return pipeline("image-text-to-text", model=nano().model, processor=nano().processor)


def asked(n: int) -> list[Any]:
    return [item("test", number) for number in range(n)]


def chats(n: int) -> list[Any]:
    return [
        [
            {
                "role": "user",
                "content": [{"type": "image", "image": one.image}, {"type": "text", "text": one.question}],
            }
        ]
        for one in asked(n)
    ]


def by_hand(n: int, allocator: Allocator | None) -> list[str]:
    """What generate() writes, one picture at a time."""
    texts = []
    for one in asked(n):
        inputs = prompt(nano(), [[one.image]], [one.question])
        if allocator is None:
            ids = nano().model.generate(**inputs.for_generate(), max_new_tokens=4, do_sample=False)
        else:
            with attached(nano().model, allocator):
                ids = nano().model.generate(**inputs.for_generate(), max_new_tokens=4, do_sample=False)
        new = ids[:, inputs.visual.shape[1] :]
        texts += nano().processor.batch_decode(new, skip_special_tokens=True)
    return [text.strip() for text in texts]


def written(pipe: Any, n: int, **options: Any) -> list[str]:
    # A dictionary of its own for every call: the pipeline changes what it is given.
    settings = {"max_new_tokens": 4, "do_sample": False}
    out = pipe(text=chats(n), return_full_text=False, generate_kwargs=settings, **options)
    return [answer[0]["generated_text"].strip() for answer in out]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_pipeline_answers_as_generate_does_with_the_same_budget(pipe: Any, batch_size: int) -> None:
    with attached(pipe, ALLOCATOR) as trace:
        pruned = written(pipe, 6, batch_size=batch_size)

    assert pruned == by_hand(6, ALLOCATOR)
    assert len(trace) == 6 // batch_size
    assert all((allocation.budget == 16).all() for allocation in trace)
    assert all((allocation.seen or 0) < 100 for allocation in trace)


def test_a_pipeline_of_an_attached_model_is_pruned_too(pipe: Any) -> None:
    with attached(nano().model, ALLOCATOR) as trace:
        inside = pipeline("image-text-to-text", model=nano().model, processor=nano().processor)
        texts = [written(one, 3) for one in (pipe, inside)]

    assert texts[0] == texts[1] == by_hand(3, ALLOCATOR)
    assert len(trace) == 6


def test_after_the_block_the_pipeline_is_what_it_was(pipe: Any) -> None:
    before = written(pipe, 3)

    with attached(pipe, Allocator(scorer="random", budget=1)):
        starved = written(pipe, 3)
    after = written(pipe, 3)

    assert before == after == by_hand(3, None)
    assert starved != before


def test_pictures_and_words_may_be_given_apart(pipe: Any) -> None:
    one = asked(1)[0]
    text = nano().processor.apply_chat_template(chats(1)[0], add_generation_prompt=True, tokenize=False)
    settings = {"max_new_tokens": 4, "do_sample": False}

    with attached(pipe, ALLOCATOR):
        (answer,) = pipe(images=one.image, text=text, return_full_text=False, generate_kwargs=settings)

    assert answer["generated_text"].strip() == by_hand(1, ALLOCATOR)[0]

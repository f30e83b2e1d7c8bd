"""Questions about no, one and several pictures."""

import pytest
import torch
from PIL import Image

from arr_coc.eval.models import load
from arr_coc.eval.prompt import encoded, prompt
from tests.tiny_llava import folder

RED, BLUE = Image.new("RGB", (192, 192), "red"), Image.new("RGB", (192, 192), "blue")


def test_pictures_come_first_or_where_the_question_marks_them() -> None:
    loaded = load(str(folder()))

    made = prompt(loaded, [[RED, BLUE]] * 2, ["is there a circle ?", "is <image> there <image> ?"])

    runs = [_runs(row) for row in made.visual]
    assert made.visual.sum(1).tolist() == [2 * 576] * 2
    assert runs == [[1152], [576, 576]]


def test_a_marker_that_stands_for_no_picture_is_left_out() -> None:
    loaded = load(str(folder()))

    made = prompt(loaded, [[RED]], ["<image> is <image> there ?"])

    assert made.visual.sum().item() == 576


def test_rows_with_one_and_two_pictures_can_be_asked_together_and_encoded_once() -> None:
    loaded = load(str(folder()))

    made = encoded(loaded, prompt(loaded, [[RED], [BLUE, RED]], ["is it red ?", "is it red ?"]))

    assert made.visual.sum(1).tolist() == [576, 1152]
    assert made.valid.sum(1).tolist()[1] - made.valid.sum(1).tolist()[0] == 576
    assert made.encoded is not None
    with torch.no_grad():
        ids = loaded.model.generate(**made.for_generate(), max_new_tokens=1, do_sample=False)
    assert len(ids) == 2


@pytest.mark.parametrize("question", ["", "what < is > this ?"])
def test_any_question_can_be_asked(question: str) -> None:
    assert prompt(load(str(folder())), [[RED]], [question]).visual.sum().item() == 576


def _runs(row: torch.Tensor) -> list[int]:
    found, length = [], 0
    for visual in [*row.tolist(), False]:
        if not visual and length:
            found.append(length)
        length = length + 1 if visual else 0
    return found

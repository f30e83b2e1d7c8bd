"""A scene is drawn when somebody looks at it, and then it is the picture it always was."""

import copy
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from arr_coc.eval.nano import dataset
from arr_coc.eval.nano.drawn import Drawn

RED = Image.new("RGB", (6, 4), "red")
LOOKS = {
    "bytes": lambda image: image.tobytes(),
    "array": lambda image: np.asarray(image).tobytes(),
    "copy": lambda image: image.copy().tobytes(),
    "deepcopy": lambda image: copy.deepcopy(image).tobytes(),
    "convert": lambda image: image.convert("L").tobytes(),
    "resize": lambda image: image.resize((3, 2)).tobytes(),
    "crop": lambda image: image.crop((1, 1, 3, 3)).tobytes(),
    "pixel": lambda image: bytes(image.getpixel((0, 0))),
    "paste": lambda image: _pasted(image),
}


def _pasted(image: Image.Image) -> bytes:
    canvas = Image.new("RGB", (9, 9))
    canvas.paste(image, (1, 1))
    return canvas.tobytes()


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_sees_the_picture(look: str) -> None:
    assert LOOKS[look](Drawn((6, 4), lambda: RED)) == LOOKS[look](RED)


def test_items_are_counted_without_drawing_one_and_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    draw = dataset.draw
    monkeypatch.setattr(dataset, "draw", lambda *given: calls.append(1) or draw(*given))

    items = list(islice(dataset.items("test"), 5))
    names, size = [item.id for item in items], items[0].image.size

    assert (len(names), size, calls) == (5, (192, 192), [])
    assert items[0].image.tobytes() == items[0].image.tobytes()
    assert calls == [1]

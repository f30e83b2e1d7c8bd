"""Pictures and films of shapes, and what is true of them."""

from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from PIL import ImageDraw

Row = dict[str, Any]
COLOURS = ("red", "green", "blue", "yellow", "purple")
SHAPES = ("circle", "square")
SIZE = (96, 72)
MOST = 4
"""Shapes in a picture, from one on."""


def thing(number: int) -> tuple[str, str, int]:
    """Colour, shape and count of a picture."""
    return COLOURS[number % 5], SHAPES[number % 2], number % MOST + 1


def boxes(number: int) -> list[tuple[int, int, int, int]]:
    """Where the shapes of a picture are: left, top, right, bottom."""
    top = 8 + 4 * (number % 5)
    return [(4 + 22 * at, top, 22 + 22 * at, top + 18) for at in range(thing(number)[2])]


def drawn(number: int, text: str = "") -> Pillow.Image:
    """A picture of some shapes, with words under them if there are any."""
    colour, shape, _ = thing(number)
    picture = Pillow.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(picture)
    for box in boxes(number):
        (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=colour)
    pen.text((4, 54), text, fill="black")
    return picture


def png(number: int, text: str = "") -> Row:
    """As `datasets` keeps a picture."""
    file = BytesIO()
    drawn(number, text).quantize(16).save(file, "PNG", optimize=True)
    return {"bytes": file.getvalue(), "path": f"{number}.png"}


def colours(number: int) -> tuple[list[str], int]:
    """Four options, and which one is right."""
    right = COLOURS.index(thing(number)[0])
    options = [COLOURS[(right + step) % 5] for step in range(4)]
    turn = number % 4
    return options[-turn:] + options[:-turn] if turn else options, turn


def people(answer: str) -> list[str]:
    """Ten people, eight of whom agree."""
    return [answer] * 8 + ["no idea", f"{answer} thing"]


def lettered(number: int) -> tuple[list[str], str]:
    """Options and the letter of the right one."""
    options, right = colours(number)
    return options, "ABCD"[right]


def film(path: Path, number: int) -> None:
    """The shapes of a picture, moving down."""
    first, *rest = [
        drawn(number).transform(SIZE, Pillow.Transform.AFFINE, (1, 0, 0, 0, 1, -step), fillcolor="white")
        for step in range(0, 24, 2)
    ]
    first.save(path, save_all=True, append_images=rest, duration=100)

"""Pictures to read: several small words of drawn letters, and the question how one of them is spelled."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from arr_coc.eval.nano.scene import COLORS, font, ground

VOWELS, CONSONANTS = ("a", "e", "o", "u"), ("c", "h", "k", "l", "m", "n", "r", "s", "t", "x")
LETTERS = (*VOWELS, *CONSONANTS)
"""Drawn as capitals."""
SHORTEST, LONGEST = 3, 6
"""Letters of a word."""
PITCH, GLYPH = 20, 11
"""Pixels from letter to letter, and about the width and height of one."""
LINE, COLUMN = 32, 132
"""Pixels that a word is given: height and width."""
TILE = 16
"""Sides of a picture are multiples of it."""


@dataclass(frozen=True)
class Word:
    """A word on a page."""

    color: str
    letters: str
    """Lower case; no letter twice."""
    x: float
    """Centre of the first letter, in pixels from the left."""
    y: float
    """Centre of the letters, in pixels from the top."""


@dataclass(frozen=True)
class Page:
    """Words of different colours on one picture."""

    width: int
    height: int
    words: tuple[Word, ...]


def compose(rng: np.random.Generator, width: int | None = None, height: int | None = None) -> Page:
    """Draw a page: 3 to 6 words, as many as there is room for; 160 to 416 pixels a side, unless given."""
    width = width or TILE * int(rng.integers(10, 27))
    height = height or TILE * int(rng.integers(10, 27))
    columns, lines = width // COLUMN, height // LINE
    most = min(6, columns * lines)
    n = int(rng.integers(min(3, most), most + 1))
    words = []
    colors = rng.permutation(list(COLORS))[:n].tolist()
    for color, spot in zip(colors, rng.permutation(columns * lines)[:n].tolist(), strict=True):
        letters = _letters(rng)
        line, column = divmod(spot, columns)
        wide, high = width / columns, height / lines
        left = GLYPH / 2 + 3
        x = column * wide + rng.uniform(left, wide - left - PITCH * (len(letters) - 1))
        y = line * high + rng.uniform(left, high - left)
        words.append(Word(color, letters, x, y))
    return Page(width, height, tuple(words))


def _letters(rng: np.random.Generator) -> str:
    """Vowels and consonants in turn, so that it looks like a word; no letter twice."""
    n = int(rng.integers(SHORTEST, LONGEST + 1))
    turn = [rng.permutation(VOWELS).tolist(), rng.permutation(CONSONANTS).tolist()]
    first = int(rng.integers(2))
    return "".join(turn[(first + i) % 2][i // 2] for i in range(n))


def draw(page: Page, rng: np.random.Generator) -> Image.Image:
    """The picture of a page: RGB."""
    image = ground(rng, page.height, page.width)
    picture = Image.fromarray(image.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for word in page.words:
        for i, letter in enumerate(word.letters):
            pen.text(
                (word.x + i * PITCH, word.y), letter.upper(), fill=COLORS[word.color], font=font(15),
                anchor="mm", stroke_width=1, stroke_fill="black",
            )  # fmt: skip
    noise = rng.standard_normal(image.shape).astype(np.float32) * rng.uniform(2, 9)
    return Image.fromarray((np.asarray(picture, np.float32) + noise).clip(0, 255).astype(np.uint8))


def question(word: Word) -> tuple[str, str]:
    """What is asked about a word, and the only right answer."""
    return f"how is the {word.color} word spelled ?", " ".join(word.letters)


def kind(word: Word) -> str:
    """Words are told apart by their length."""
    return f"{len(word.letters)} letters"


def chance(kind: str) -> float:
    """Accuracy of a guess that knows the length of the word: one over how many there are."""
    n = int(kind.split()[0])
    more, fewer = (n + 1) // 2, n // 2
    first = math.perm(len(VOWELS), more) * math.perm(len(CONSONANTS), fewer)
    return 1 / (first + math.perm(len(CONSONANTS), more) * math.perm(len(VOWELS), fewer))

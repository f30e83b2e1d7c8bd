"""SceneVQA as items: one picture, one question, one answer; unlimited, and split by ranges of seeds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from PIL import Image

from arr_coc.eval.nano import reading
from arr_coc.eval.nano.drawn import Drawn
from arr_coc.eval.nano.questions import KINDS, Question, ask, wish
from arr_coc.eval.nano.reading import Page
from arr_coc.eval.nano.scene import SIDE, Thing, arrange, draw

SPLITS = {"train": 1, "validation": 2, "test": 3, "retest": 4, "retest2": 5}
"""First word of every seed, so that no item is in two splits. `retest` and on: for what was changed after its
score on the one before was known."""
SIZES = (160, 192, 256, 320, 384, 512)
"""Pixels along a side of the items of several sizes."""
PAGES = 1
"""Last word of the seed of a page."""


@dataclass(frozen=True)
class SceneItem:
    """One item of SceneVQA."""

    id: str
    image: Image.Image
    question: str
    answer: str
    kind: str


def _compose(rng: np.random.Generator, kind: str) -> tuple[list[Thing], Question]:
    """A kind and an answer are wished for first, then scenes are drawn until one grants it: even priors."""
    kind, answer = wish(rng, kind)
    while True:
        things = arrange(rng)
        for _ in range(4):
            question = ask(things, kind, answer, rng)
            if question is not None:
                return things, question


def item(split: str, index: int) -> SceneItem:
    """Item number `index` of a split; the same one on every machine. Kinds take turns.

    Raises ValueError for an unknown split or a negative index.
    """
    rng = _generator(split, index)
    things, question = _compose(rng, list(KINDS)[index % len(KINDS)])
    image = Drawn((SIDE, SIDE), partial(draw, things, rng))
    return SceneItem(f"{split}-{index:06d}", image, question.text, question.answer, question.kind)


def crowd(split: str, index: int) -> int:
    """How many things are in the picture of an item, whatever its size. Raises as `item` does."""
    things, _ = _compose(_generator(split, index), list(KINDS)[index % len(KINDS)])
    return len(things)


def sized_item(split: str, index: int) -> SceneItem:
    """The same item at one of six sizes. Sizes take turns, each with all kinds. Raises as `item` does."""
    one = item(split, index)
    side = SIZES[index // len(KINDS) % len(SIZES)]
    return replace(one, image=Drawn((side, side), lambda: one.image.resize((side, side))))


def page_item(split: str, index: int) -> SceneItem:
    """Page number `index` of a split, and a word to be spelled; its kind is its length.

    Raises as `item` does.
    """
    rng = _generator(split, index, PAGES)
    page = reading.compose(rng)
    word = page.words[rng.integers(len(page.words))]
    question, answer = reading.question(word)
    image = Drawn((page.width, page.height), partial(reading.draw, page, rng))
    return SceneItem(f"{split}-{index:06d}", image, question, answer, reading.kind(word))


def _generator(split: str, index: int, *more: int) -> np.random.Generator:
    if split not in SPLITS:
        raise ValueError(f"no split called {split!r}; known: {', '.join(SPLITS)}")
    if index < 0:
        raise ValueError(f"items are numbered from 0, got {index}")
    return np.random.default_rng((SPLITS[split], index, *more))


def items(split: str, start: int = 0, make: Callable[[str, int], SceneItem] = item) -> Iterator[SceneItem]:
    """Items of a split from number `start` on, without end; drawn as they are asked for."""
    while True:
        yield make(split, start)
        start += 1


@dataclass(frozen=True)
class Lesson:
    """A training scene with many questions."""

    things: list[Thing]
    questions: list[Question]
    image: Image.Image
    page: Page | None = None
    """What there is to read instead of things."""


def lesson(seed: tuple[int, ...], n_questions: int, often: tuple[str, ...] = ()) -> Lesson:
    """A training scene: the first question is drawn like an item, the others are what the scene allows.

    Every other question is of a kind in `often`, if there are any. Where nothing is asked every other scene
    is more crowded than items are: more to see in one picture.
    """
    rng = np.random.default_rng((SPLITS["train"], *seed))
    if n_questions == 0:
        things = arrange(rng, int(rng.integers(12, 31)) if rng.random() < 0.5 else None)
        return Lesson(things, [], Drawn((SIDE, SIDE), partial(draw, things, rng)))

    def kind() -> str | None:
        return str(rng.choice(often)) if often and rng.random() < 0.5 else None

    things, first = _compose(rng, wish(rng, kind())[0])
    questions = [first]
    while len(questions) < n_questions:
        question = ask(things, *wish(rng, kind()), rng)
        if question is not None:
            questions.append(question)
    return Lesson(things, questions, Drawn((SIDE, SIDE), partial(draw, things, rng)))


def page_lesson(seed: tuple[int, ...], grid: tuple[int, int], n_questions: int) -> Lesson:
    """A training page of that many rows and columns of tiles; up to so many of its words are asked for."""
    rng = np.random.default_rng((SPLITS["train"], *seed))
    page = reading.compose(rng, width=grid[1] * reading.TILE, height=grid[0] * reading.TILE)
    questions = [
        Question("word", *reading.question(word), evidence=(i,))
        for i, word in enumerate(page.words[:n_questions])
    ]
    image = Drawn((page.width, page.height), partial(reading.draw, page, rng))
    return Lesson([], questions, image, page)

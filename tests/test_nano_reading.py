"""Pages: what their visual tokens say, read by its rule, spells the words that are drawn."""

from itertools import islice

import numpy as np
import pytest

from arr_coc.eval.nano import reading
from arr_coc.eval.nano.build import LAST
from arr_coc.eval.nano.dataset import SPLITS, items, page_item, page_lesson
from arr_coc.eval.nano.design import QWEN
from arr_coc.eval.nano.labels import Said, describe_page
from arr_coc.eval.nano.scene import COLORS
from arr_coc.eval.tasks.scene_reading import SceneReading


def spelled(said: Said, color: str) -> str:
    """From the first letter of that colour on, to the token of the letter that is said to be next."""
    words = [
        {group: QWEN.groups[group][i] for group, i in zip(QWEN.groups, row, strict=True) if i >= 0}
        for row in said.words.tolist()
    ]
    mine = [word for word in words if word.get("color") == color]
    (letter,) = {word["character"] for word in mine if "first" in word}
    found = letter
    while True:
        (following,) = {word["next"] for word in mine if word["character"] == letter}
        if following == LAST:
            return found
        letter = following.removeprefix("<then ").removesuffix(">")
        found += letter


def test_the_tokens_of_a_page_spell_its_words() -> None:
    rng = np.random.default_rng(0)

    for _ in range(60):
        page = reading.compose(rng)
        said = describe_page(QWEN, page, (page.height // reading.TILE, page.width // reading.TILE))
        for word in page.words:
            assert spelled(said, word.color) == word.letters


def test_words_are_in_the_picture_have_letters_and_colours_of_their_own_and_do_not_touch() -> None:
    rng = np.random.default_rng(1)

    for _ in range(100):
        page = reading.compose(rng)
        assert len({word.color for word in page.words}) == len(page.words) >= 3
        taken = np.zeros((page.height, page.width), int)
        for word in page.words:
            assert reading.SHORTEST <= len(set(word.letters)) == len(word.letters) <= reading.LONGEST
            left, right = word.x - reading.GLYPH / 2, word.x + reading.PITCH * (len(word.letters) - 1)
            assert left >= 0
            assert right + reading.GLYPH / 2 <= page.width
            assert 0 <= word.y - reading.GLYPH / 2 < word.y + reading.GLYPH / 2 <= page.height
            rows = slice(round(word.y - reading.GLYPH / 2), round(word.y + reading.GLYPH / 2))
            taken[rows, round(left) : round(right + reading.GLYPH / 2)] += 1
        assert taken.max() == 1


def test_letters_are_drawn_where_the_page_says_in_its_words_colour() -> None:
    page = reading.Page(
        192, 160, (reading.Word("red", "hat", 40.0, 60.0), reading.Word("cyan", "xeno", 30.0, 120.0))
    )

    pixels = np.asarray(reading.draw(page, np.random.default_rng(0)), float)

    for word in page.words:
        near = np.abs(pixels - COLORS[word.color]).max(2) < 60
        for i in range(len(word.letters)):
            x, y = int(word.x + i * reading.PITCH), int(word.y)
            assert near[y - 6 : y + 7, x - 6 : x + 7].sum() > 15


def test_a_page_is_the_same_every_time_and_in_one_split_only() -> None:
    first, again = page_item("test", 3), page_item("test", 3)
    pictures = {
        split: {i.image.tobytes() for i in islice(items(split, make=page_item), 12)} for split in SPLITS
    }

    assert (first.question, first.answer) == (again.question, again.answer)
    assert first.image.tobytes() == again.image.tobytes()
    assert len(set.union(*pictures.values())) == 12 * len(SPLITS)


def test_the_answer_is_the_word_of_the_colour_that_is_asked_for() -> None:
    lesson = page_lesson((0, 0, 0, 0), (16, 20), 6)
    assert lesson.page

    words = {word.color: word.letters for word in lesson.page.words}

    assert {q.text.split()[3]: q.answer.replace(" ", "") for q in lesson.questions} == words


@pytest.mark.parametrize(("n", "words"), [(3, 4 * 10 * 3 + 10 * 4 * 9), (4, 2 * 4 * 3 * 10 * 9)])
def test_chance_is_one_of_all_words_of_that_length(n: int, words: int) -> None:
    assert reading.chance(f"{n} letters") == pytest.approx(1 / words)


@pytest.mark.parametrize(
    ("answer", "score"), [("m o t e", 1), ("M O T E.", 1), ("m o t", 0), ("m o t e s", 0)]
)
def test_a_word_is_read_if_every_letter_is(answer: str, score: float) -> None:
    assert SceneReading().score(answer, "m o t e") == score

"""Metrics of the benchmarks: closed forms, and the traps that each of them knows."""

from pathlib import Path

import pytest

from arr_coc.eval.metrics import chair, yes_no
from arr_coc.eval.metrics.anls import anls, edits
from arr_coc.eval.metrics.choice import (
    any_letter,
    first_letter,
    led_letter,
    letter,
    mentioned,
    one_letter,
    strict_letter,
)
from arr_coc.eval.metrics.contains import FORMULA, contains
from arr_coc.eval.metrics.gold import Choice, best, several, single
from arr_coc.eval.metrics.iou import box_in, iou
from arr_coc.eval.metrics.open_answer import open_answer
from arr_coc.eval.metrics.relaxed import relaxed
from arr_coc.eval.metrics.rule import phrase
from arr_coc.eval.metrics.vqa_accuracy import normal, vqa_accuracy

OPTIONS = ("red", "dark red", "blue")


@pytest.mark.parametrize(("agree", "accuracy"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_vqa_accuracy_grows_by_three_tenths_a_person_up_to_four(agree: int, accuracy: float) -> None:
    gold = several(["red"] * agree + [f"other {number}" for number in range(10 - agree)])

    assert vqa_accuracy("red", gold) == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("The Red Ball.", "red ball"),
        ("two", "2"),
        ("None", "0"),
        ("dont know", "don't know"),
        ("3.5", "3.5"),
        ("1,000", "1000"),
        ("black/white", "black white"),
        ("t-shirt", "t shirt"),
        ("couldntve", "couldntve"),
        ("couldn'tve", "couldn't've"),
    ],
)
def test_answers_are_compared_in_one_form(said: str, form: str) -> None:
    assert normal(said) == form


@pytest.mark.parametrize(
    ("said", "right", "score"),
    [
        ("abcd", "abcd", 1),
        ("abcx", "abcd", 0.75),
        ("abxy", "abcd", 0.5),
        ("axyz", "abcd", 0),
        ("", "abcd", 0),
    ],
)
def test_anls_is_the_share_of_right_letters_or_nothing_below_half(
    said: str, right: str, score: float
) -> None:
    assert anls(said, several([right])) == score


def test_anls_takes_the_nearest_of_several_right_answers() -> None:
    assert anls("4000", several(["No. 4000", "4000"])) == 1


def test_a_distance_is_symmetric_and_obeys_the_triangle() -> None:
    words = ["", "a", "ab", "ba", "kitten", "sitting", "sit"]

    assert edits("kitten", "sitting") == 3
    for one in words:
        assert edits(one, one) == 0
        for other in words:
            assert edits(one, other) == edits(other, one)
            assert all(edits(one, other) <= edits(one, mid) + edits(mid, other) for mid in words)


@pytest.mark.parametrize(
    ("said", "gold", "score"),
    [
        ("105", "100", 1),
        ("105.1", "100", 0),
        ("-100", "100", 0),
        ("50%", "0.5", 1),
        ("0", "0", 1),
        ("0.01", "0", 0),
        ("Yes", "yes", 1),
        ("nan", "100", 0),
        ("inf", "100", 0),
    ],
)
def test_a_number_may_be_off_by_a_twentieth(said: str, gold: str, score: float) -> None:
    assert relaxed(said, gold) == score


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("B", "B"), ("b", "B"), ("(B)", "B"), ("B.", "B"), ("B. dark red", "B"), ("B) because", "B"),
        ("The answer is B", "B"), ("The correct answer is (B).", "B"), ("Answer: B", "B"),

        ("I pick (B)", "B"), ("blue", "C"), ("it is blue.", "C"), ("dark red", ""), ("A dog is here", ""),
        ("D", ""), ("", ""), ("bluebell", ""), ("The answer is Blue", "C"),
    ],
)  # fmt: skip
def test_a_letter_is_read_where_it_is_meant(said: str, read: str) -> None:
    assert letter(said, OPTIONS) == read


def test_each_benchmark_reads_letters_its_own_way() -> None:
    said = "A dog, so the answer is B."

    assert (
        letter(said, OPTIONS),
        strict_letter(said, OPTIONS),
        first_letter(said, OPTIONS),
        led_letter(said, OPTIONS),
        any_letter(said, OPTIONS),
        mentioned(said, OPTIONS),
    ) == ("B", "", "A", "A", "A", "B")


@pytest.mark.parametrize(
    ("said", "read"),
    [("B", "B"), ("(b) dark", "B"), ("Option C", "C"), ("the answer is a", "A"), ("It is B", ""), ("", "")],
)
def test_mmstar_reads_the_first_letter_after_a_lead_in(said: str, read: str) -> None:
    assert led_letter(said, OPTIONS) == read


@pytest.mark.parametrize(
    ("said", "read"), [("The best answer is: B", "B"), ("it is C, not A", "C"), ("The answer", ""), ("b", "")]
)
def test_video_mme_reads_the_first_capital_without_its_lead_in(said: str, read: str) -> None:
    assert any_letter(said, OPTIONS) == read


@pytest.mark.parametrize(("said", "kept"), [("B", True), ("(b).", True), ("B. red", False), ("", False)])
def test_only_a_letter_keeps_to_the_form(said: str, kept: bool) -> None:
    assert one_letter(said) is kept


@pytest.mark.parametrize(
    ("said", "kept"), [("dark red", True), ("", False), ("one\ntwo", False), ("a " * 6, False)]
)
def test_a_phrase_is_one_line_of_a_few_words(said: str, kept: bool) -> None:
    assert phrase(said) is kept


def test_iou_of_boxes_that_share_a_third() -> None:
    assert iou((0.0, 0.0, 2.0, 1.0), (1.0, 0.0, 3.0, 1.0)) == pytest.approx(1 / 3)


def test_boxes_that_only_touch_or_are_turned_inside_out_share_nothing() -> None:
    assert iou((0.0, 0.0, 1.0, 1.0), (1.0, 1.0, 2.0, 2.0)) == 0
    assert iou((2.0, 2.0, 1.0, 1.0), (1.0, 1.0, 2.0, 2.0)) == 0


@pytest.mark.parametrize(
    "said",
    [
        "[0.1, 0.2, 0.3, 0.4]",
        "It is at (0.1,0.2),(0.3,0.4).",
        '```json\n[{"bbox_2d": [0.1, 0.2, 0.3, 0.4]}]\n```',
    ],
)
def test_a_box_is_found_in_an_answer(said: str) -> None:
    assert box_in(said) == (0.1, 0.2, 0.3, 0.4)


def test_an_answer_without_four_numbers_has_no_box() -> None:
    assert box_in("[0.1, 0.2, 0.3] on the left") is None


def test_rates_of_a_model_that_always_says_yes() -> None:
    rates = yes_no.rates(["Yes"] * 4, ["yes", "no", "no", "yes"])

    assert rates == {"precision": 0.5, "recall": 1, "f1": pytest.approx(2 / 3), "yes_rate": 1}


@pytest.mark.parametrize(
    ("said", "word"), [("Yes.", "yes"), ("no, it is not", "no"), ("Y", "yes"), ("maybe", ""), ("", "")]
)
def test_yes_and_no_are_heard(said: str, word: str) -> None:
    assert yes_no.heard(said) == word


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Two dogs and a puppy.", ["dog", "dog"]),
        ("A hot dog on a bun", ["hot dog"]),
        ("a man on a toilet seat", ["person", "toilet"]),
        ("buses at a bus stop", ["bus"]),
        ("knives, glasses and wine glasses", ["knife", "wine glass"]),
        ("a baseball bat near home plate", ["baseball bat"]),
        ("people on skis", ["person", "skis"]),
        ("a catalogue", []),
    ],
)
def test_a_caption_names_objects(text: str, named: list[str]) -> None:
    assert chair.mentions(text, chair.words_of()) == named


def test_chair_counts_wrong_mentions_and_captions_with_one() -> None:
    there = [["dog", "frisbee"], ["cat"]]
    said = ["A dog chases a cat, a cat and a frisbee.", "A kitten sleeps."]
    named = [chair.named(text, objects, chair.words_of()) for text, objects in zip(said, there, strict=True)]

    assert chair.rates(named, there) == {"chair_i": 2 / 5, "chair_s": 1 / 2, "recall": 1}


def test_every_object_of_coco_has_a_line() -> None:
    assert len(set(chair.words_of().values())) == 80


def test_a_list_of_objects_of_ones_own_is_used(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("gnu, wildebeest\n")

    assert chair.mentions("Two wildebeests and a dog", chair.words_of(tmp_path / "mine.txt")) == ["gnu"]


def test_a_formula_is_found_without_spaces_and_with_its_case() -> None:
    gold = several(["E = m C^2", FORMULA])

    assert contains("it reads E=mC^2.", gold) == 1
    assert contains("e = m c^2", gold) == 0


@pytest.mark.parametrize(
    ("said", "gold", "score"),
    [
        ("The area is 12.5", ["12.5"], 1),
        ("so x = 1,200", ["1200"], 1),
        ("12.499", ["12.5"], 1),
        ("it is a cell wall", ["cell wall"], 1),
        ("13", ["12.5"], 0),
        ("", ["12.5"], 0),
    ],
)
def test_an_open_answer_is_right_if_it_concludes_it(said: str, gold: list[str], score: float) -> None:
    assert open_answer(said, several(gold)) == score


def test_a_gold_without_content_is_no_gold() -> None:
    for nothing in (None, "", "  "):
        with pytest.raises(ValueError, match="no right answer"):
            single(nothing)
    with pytest.raises(ValueError, match="no right answer"):
        several([])
    with pytest.raises(ValueError, match="'D' is none of the 3 options"):
        Choice("D", OPTIONS)


def test_a_choice_comes_back_from_its_record() -> None:
    choice = Choice("B", ('say "no"', "öl", ""))

    assert Choice.read(choice.text) == choice
    assert best(choice.text) == "B"

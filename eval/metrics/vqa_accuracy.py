"""VQA accuracy: how many of ten people gave the same answer, after both were brought into one form."""

import re
from statistics import fmean

from arr_coc.eval.metrics.gold import answers
from arr_coc.eval.metrics.rule import Rule, phrase

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
DIGITS = {word: str(number) for number, word in enumerate(NUMBERS)} | {"none": "0"}
ARTICLES = {"a", "an", "the"}
MARKS = ';/[]"{}()=+\\_-><@`,?!'
CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've
needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've
somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll
that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've
we've weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's
who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've
you'll you're you've
"""


def _missing_one() -> dict[str, str]:
    """Each word without one of its apostrophes."""
    found = {}
    for word in CONTRACTED.split():
        for place in re.finditer("'", word):
            found[word[: place.start()] + word[place.end() :]] = word
    return found


APOSTROPHES = _missing_one()


def normal(answer: str) -> str:
    """The form that answers are compared in: no case, marks or articles; numbers as digits.

    The steps of the evaluation server of TextVQA, VizWiz and VQAv2 (https://visualqa.org/evaluation.html),
    also where their order surprises: a comma between digits makes every other mark vanish instead of part.
    """
    text = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = text.replace("\n", " ").replace("\t", " ").strip()
    thousands = re.search(r"(?<=\d),+(?=\d)", text) is not None
    parted = text
    for mark in MARKS:
        touches_space = f"{mark} " in text or f" {mark}" in text
        parted = parted.replace(mark, "" if touches_space or thousands else " ")
    parted = re.sub(r"\.(?!\d)", "", parted)
    words = (DIGITS.get(word, word) for word in parted.split())
    return " ".join(APOSTROPHES.get(word, word) for word in words if word not in ARTICLES)


def vqa_accuracy(answer: str, gold: str) -> float:
    """Mean, over leaving out each person, of min(1, how many of the others said the same / 3).

    https://arxiv.org/abs/1505.00468. With the usual ten answers: 0, 0.3, 0.6, 0.9, and 1 from four on.
    """
    people = [normal(person) for person in answers(gold)]
    said = normal(answer)
    same = people.count(said)
    return fmean(min(1.0, (same - (person == said)) / 3) for person in people)


VQA = Rule(vqa_accuracy, phrase)

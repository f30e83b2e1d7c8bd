"""Open answers of MMMU: the tail of the sentences that conclude, and the numbers in them."""

import re

from arr_coc.eval.metrics.gold import answers

Said = str | float
CONCLUDES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_NUMBER = re.compile(r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?")


def open_answer(answer: str, gold: str) -> float:
    """1 if a right answer is among the numbers said, or stands in the text said. MMMU, section 4.1.

    https://arxiv.org/abs/2311.16502. `gold` holds several; a number in it matches to two decimals.
    """
    right = {form for one in answers(gold) for form in _forms(one)}
    return float(any(_fits(said, right) for said in _said(answer)))


def _fits(said: Said, right: set[Said]) -> bool:
    if isinstance(said, float):
        return said in right
    return any(isinstance(form, str) and form in said for form in right)


def _said(answer: str) -> set[Said]:
    """What the answer concludes: text, and every number in it."""
    lines = answer.strip().strip(".").lower().split("\n")
    tails = []
    for left, line in enumerate(lines, start=1 - len(lines)):
        # Only the last line may be an equation.
        marks = CONCLUDES if left else (*CONCLUDES, "=")
        ends = [line.split(mark)[-1].strip() for mark in marks if mark in line]
        if ends and (shortest := _shortest(ends)) and shortest not in ":,.!?;'":
            tails.append(shortest)
    tails = tails or [answer.strip().strip(".").lower()]
    numbers = [number.rstrip(",") for tail in tails for number in _NUMBER.findall(tail)]
    return {form for text in [*tails, *numbers] for form in _forms(text)}


def _shortest(ends: list[str]) -> str:
    """The first of the shortest that is not empty, as far as one came before it."""
    best = ends[0]
    for end in ends[1:]:
        if not best or len(end) < len(best):
            best = end
    return best


def _forms(text: str) -> list[Said]:
    """A number to two decimals; a word in lower case, a single letter only with a space beside it."""
    word = text.strip()
    try:
        return [round(float(word.replace(",", "")), 2)]
    except ValueError:
        word = word.lower()
        return [f" {word}", f"{word} "] if len(word) == 1 else [word]

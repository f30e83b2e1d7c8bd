"""Multiple choice: which letter an answer means, by the rule of each benchmark. An empty string: none."""

import re
from collections.abc import Callable, Sequence
from string import ascii_uppercase

from arr_coc.eval.metrics.gold import Choice
from arr_coc.eval.metrics.rule import Rule

Reader = Callable[[str, Sequence[str]], str]
"""Answer and options to a letter."""
_ALONE = re.compile(r"\(?([A-Za-z])\)?[.:,)]*")
_FIRST = re.compile(r"\(?([A-Z])(?:[.:,)]|\n)")
_STATED = re.compile(r"(?i:answer|option|choice)(?: is)?:?\s*\(?([A-Z])(?![A-Za-z'])")
_BRACKETED = re.compile(r"\(([A-Z])\)")


def one_letter(answer: str) -> bool:
    """A letter, at most with brackets or a full stop around it."""
    return _ALONE.fullmatch(answer.strip()) is not None


def letter(answer: str, options: Sequence[str]) -> str:
    """The usual reading: the letter alone, first, stated, or bracketed; else the one option that is quoted.

    Where nothing can be read, nothing is guessed: MMBench then asks a language model, which we do not.
    """
    text = answer.strip()
    letters = ascii_uppercase[: len(options)]
    if alone := _ALONE.fullmatch(text):
        return _known(alone[1].upper(), letters)
    if first := _FIRST.match(text):
        return _known(first[1], letters)
    for pattern in (_STATED, _BRACKETED):
        if found := [one for one in pattern.findall(text) if one in letters]:
            return str(found[-1])
    quoted = [mark for mark, option in zip(letters, options, strict=True) if _quotes(text, option)]
    return quoted[0] if len(quoted) == 1 else ""


def strict_letter(answer: str, options: Sequence[str]) -> str:
    """ScienceQA, as LLaVA reads it: the letter alone, `X.` at the start, or `The answer is X.`"""
    text = answer.strip()
    letters = ascii_uppercase[: len(options)]
    found = re.match(r"([A-Z])(?:\.|$)", text) or re.search(r"The answer is ([A-Z])\.", text)
    return _known(found[1], letters) if found else ""


def first_letter(answer: str, options: Sequence[str]) -> str:
    """SEED-Bench: the first character, whatever follows."""
    return _known(answer.strip()[:1].upper(), ascii_uppercase[: len(options)])


def led_letter(answer: str, options: Sequence[str]) -> str:
    """MMStar: the first character, or the one after a bracket, `option` or `the answer is`; any case."""
    text = answer.strip().lower()
    for lead in ("", "(", "option ", "the answer is "):
        here = text[len(lead) : len(lead) + 1].upper()
        if text.startswith(lead) and here in ascii_uppercase[: len(options)]:
            return here
    return ""


def any_letter(answer: str, options: Sequence[str]) -> str:
    """Video-MME: the first capital A to D once the usual lead-in is gone."""
    text = answer.strip()
    for lead in ("The best answer is", "The correct answer is", "The answer is", "The answer"):
        text = text.replace(lead, "")
    found = re.search(f"[{ascii_uppercase[: len(options)]}]", text)
    return found[0] if found else ""


def mentioned(answer: str, options: Sequence[str]) -> str:
    """MMMU: bracketed, bare, then dotted letters; else, in a long answer, options quoted. The last counts.

    The benchmark's own script guesses at random where nothing is found; here that is no answer.
    """
    text = answer
    for mark in ",.!?;:'":
        text = text.strip(mark)
    text = f" {text} "
    letters = ascii_uppercase[: len(options)]
    for written in ("({})", "{} ", "{}."):
        if found := [one for one in letters if written.format(one) in text]:
            place = "({})" if written == "({})" else " {} "
            return max(found, key=lambda one: text.rfind(place.format(one)))
    low = text.lower()
    if len(text.split()) <= 5:
        return ""
    quoted = [(low.rfind(option.lower()), mark) for mark, option in zip(letters, options, strict=True)]
    last, mark = max(quoted, key=lambda pair: pair[0])
    return mark if last >= 0 else ""


def chooses(reader: Reader) -> Rule:
    """1 if the letter that is read is the right one."""

    def score(answer: str, gold: str) -> float:
        choice = Choice.read(gold)
        return float(reader(answer, choice.options) == choice.letter)

    return Rule(score, one_letter)


def _known(found: str, letters: str) -> str:
    return found if found and found in letters else ""


def _quotes(text: str, option: str) -> bool:
    """The option stands in the answer as whole words."""
    return bool(option.strip()) and bool(
        re.search(rf"(?<!\w){re.escape(option.strip())}(?!\w)", text, re.IGNORECASE)
    )


LETTER = chooses(letter)

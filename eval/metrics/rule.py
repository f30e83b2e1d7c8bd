"""A rule: how right an answer is, and whether it has the form that was asked for."""

from collections.abc import Callable
from dataclasses import dataclass

MOST_WORDS = 5
"""Longer than this is no `single word or phrase`."""


@dataclass(frozen=True)
class Rule:
    """Two functions of an answer."""

    score: Callable[[str, str], float]
    """Answer and gold to [0, 1]."""
    follows: Callable[[str], bool]
    """Answer to whether it keeps to the form, right or wrong."""


def phrase(answer: str) -> bool:
    """One line of a few words."""
    text = answer.strip()
    return 0 < len(text.split()) <= MOST_WORDS and "\n" not in text


def exact(answer: str, gold: str) -> float:
    """1 if they are the same but for case, spaces and a full stop: GQA, RealWorldQA."""
    return float(plain(answer) == plain(gold))


def plain(text: str) -> str:
    """Lower case, single spaces, no full stop at the end."""
    return " ".join(text.lower().strip().rstrip(".").split())


EXACT = Rule(exact, phrase)

"""Relaxed accuracy: numbers may be off by a twentieth, words must be the same."""

import math

from arr_coc.eval.metrics.rule import Rule, phrase

TOLERANCE = 0.05


def number(text: str) -> float | None:
    """A number, a percentage as a fraction; None for what is neither, or has no end."""
    word = text.strip()
    try:
        value = float(word.rstrip("%")) / 100 if word.endswith("%") else float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def relaxed(answer: str, gold: str) -> float:
    """1 if a number lies within 5 % of the right one; else exact match but for case. ChartQA, section 5.1.

    https://arxiv.org/abs/2203.10244. A right answer of zero is compared as a word, as everybody does.
    """
    said, right = number(answer), number(gold)
    if said is not None and right:
        return float(abs(said - right) / abs(right) <= TOLERANCE)
    return float(answer.strip().lower() == gold.strip().lower())


RELAXED = Rule(relaxed, phrase)

"""Containment: the answer holds the right text somewhere, as OCRBench counts it."""

from arr_coc.eval.metrics.gold import answers
from arr_coc.eval.metrics.rule import Rule

FORMULA = "<formula>"
"""Last in the list of right answers where they are formulas: spaces do not count there."""


def contains(answer: str, gold: str) -> float:
    """1 if any right answer is part of what was said, whatever the case; formulas without spaces, with case.

    OCRBench, https://arxiv.org/abs/2305.07895. lmms-eval lowers the answer and not the formula, and so never
    finds one with capitals.
    """
    right = answers(gold)
    if right[-1] == FORMULA:
        said = "".join(answer.split())
        return float(any("".join(one.split()) in said for one in right[:-1]))
    said = answer.lower().strip().replace("\n", " ")
    return float(any(one.lower().strip().replace("\n", " ") in said for one in right))


CONTAINS = Rule(contains, lambda answer: bool(answer.strip()))

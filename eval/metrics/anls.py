"""ANLS: how close an answer is to the nearest right one, letter by letter; far off is 0."""

from arr_coc.eval.metrics.gold import answers
from arr_coc.eval.metrics.rule import Rule, phrase

FAR = 0.5
"""A similarity below this counts as a different answer, not as a misread one."""


def edits(one: str, other: str) -> int:
    """Levenshtein distance: the fewest letters to insert, delete or replace."""
    row = list(range(len(other) + 1))
    for i, here in enumerate(one, start=1):
        diagonal, row[0] = row[0], i
        for j, there in enumerate(other, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (here != there))
    return row[-1]


def similarity(answer: str, right: str) -> float:
    """1 less the share of letters that must change; case and extra spaces do not count."""
    one, other = (" ".join(text.lower().split()) for text in (answer, right))
    longest = max(len(one), len(other))
    return 1.0 if longest == 0 else 1.0 - edits(one, other) / longest


def anls(answer: str, gold: str) -> float:
    """Average normalised Levenshtein similarity, of one item: DocVQA, InfographicVQA.

    https://arxiv.org/abs/1907.00490, with the border of the official scripts: exactly half still counts.
    """
    nearest = max(similarity(answer, right) for right in answers(gold))
    return nearest if nearest >= FAR else 0.0


ANLS = Rule(anls, phrase)

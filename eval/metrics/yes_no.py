"""Yes or no: reading it, and precision, recall, F1 and the share of yes."""

from collections.abc import Sequence

from arr_coc.eval.metrics.rule import Rule, plain


def heard(answer: str) -> str:
    """`yes`, `no` or neither (empty): the answer, or what its first four letters hold, as MME reads it."""
    text = answer.lower().strip().replace(".", "")
    if text in ("y", "n"):
        return {"y": "yes", "n": "no"}[text]
    start = text[:4]
    return "yes" if "yes" in start else "no" if "no" in start else ""


def agrees(answer: str, gold: str) -> float:
    """1 for the same word."""
    return float(heard(answer) == heard(gold) != "")


def yes_or_no(answer: str) -> bool:
    """Nothing but the word."""
    return plain(answer) in ("yes", "no")


def rates(said: Sequence[str], right: Sequence[str]) -> dict[str, float]:
    """Precision, recall, F1 of `yes`, and the share of answers that are yes. What is undefined is 0.

    POPE, https://arxiv.org/abs/2305.10355. An answer that is neither counts as no, as in POPE's own script.
    """
    yes = [heard(answer) == "yes" for answer in said]
    true = [heard(gold) == "yes" for gold in right]
    hits = sum(a and b for a, b in zip(yes, true, strict=True))
    return {
        "precision": hits / sum(yes) if any(yes) else 0.0,
        "recall": hits / sum(true) if any(true) else 0.0,
        "f1": 2 * hits / (sum(yes) + sum(true)) if any(yes) or any(true) else 0.0,
        "yes_rate": sum(yes) / len(yes) if yes else 0.0,
    }


YES_NO = Rule(agrees, yes_or_no)

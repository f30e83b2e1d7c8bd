"""One climb for all settings of a method: the greedy set of k tokens begins the one of more."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from arr_coc.allocate import Allocator
from arr_coc.budgets.count import Count
from arr_coc.budgets.ratio import Ratio
from arr_coc.climb import Walked, walked
from arr_coc.eval.method import Budget
from arr_coc.scorers import SCORERS
from arr_coc.steps import Deep
from arr_coc.types import Pictures, Scorer, Scores


@dataclass
class Memory:
    """What one scorer last said of some pictures."""

    scorer: Scorer | None = None
    pictures: Pictures | None = None
    scores: Scores | None = None


@dataclass(frozen=True)
class Remembered:
    """A scorer that scores no pictures twice for the same questions, nor lets a selector climb twice.

    Settings of one scorer that are asked one after another share its scores; the climb goes at once as far as
    the largest of their budgets.
    """

    scorer: Scorer
    memory: Memory
    largest: Budget
    """A ratio or a count."""

    @property
    def selector(self) -> str:
        """The scorer's."""
        return self.scorer.selector

    @property
    def needs(self) -> tuple[str, ...]:
        """The scorer's."""
        return getattr(self.scorer, "needs", ())

    def __call__(self, pictures: Pictures) -> Scores:
        """As the scorer."""
        memory = self.memory
        scores = memory.scores if memory.scorer == self.scorer and _same(memory.pictures, pictures) else None
        if scores is None:
            scores = self._said(pictures)
            memory.scorer, memory.pictures, memory.scores = self.scorer, pictures, scores
        if isinstance(scores.of_sets, Walked):  # the same pictures, in a prefill of its own
            scores = replace(scores, of_sets=replace(scores.of_sets, among=pictures.valid))
        return scores

    def _said(self, pictures: Pictures) -> Scores:
        scores = self.scorer(pictures)
        if scores.of_sets is None or isinstance(self.largest, str):
            return scores
        part = Ratio(self.largest) if isinstance(self.largest, float) else Count(self.largest)
        return replace(scores, of_sets=walked(scores.of_sets, pictures.valid, part(pictures, scores).tokens))


def _same(these: Pictures | None, those: Pictures) -> bool:
    """Whether two prefills are of the same pictures and questions."""
    return these is not None and all(
        torch.equal(getattr(these, part), getattr(those, part))
        for part in ("tokens", "query", "asked", "grid")
    )


def remembered(allocator: Allocator, memory: Memory, budgets: list[Budget]) -> Allocator:
    """The same allocator, whose scorer remembers; `budgets` are those that will be asked of it.

    One that decides between layers is left alone: what it sees there depends on what it kept before.
    """
    scorer: Any = allocator.scorer
    scorer = SCORERS[scorer]() if isinstance(scorer, str) else scorer
    if isinstance(scorer, Deep):
        return allocator
    whole = [budget for budget in budgets if not isinstance(budget, str)]
    # Ratios and counts are not compared here: the first is climbed, and a longer one once more.
    largest = max(whole, key=lambda b: (isinstance(b, float), b)) if whole else "auto"
    remembering: Any = Remembered(scorer, memory, largest)
    return replace(allocator, scorer=remembering)

"""What SceneVQA's tasks have in common: drawn items without end, and short answers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import ClassVar

from arr_coc.eval.metrics.rule import EXACT
from arr_coc.eval.nano import dataset
from arr_coc.eval.tasks.task import Answered, Item


@dataclass(frozen=True)
class Scenes(ABC):
    """The generator in `eval/nano/`. An answer is right if it is the gold answer, whatever the case."""

    max_new_tokens: ClassVar[int]
    headline: ClassVar[str] = "accuracy"
    splits: ClassVar[tuple[str, ...]] = ("test", "retest", "retest2", "validation", "train")

    @abstractmethod
    def make(self, split: str, index: int) -> dataset.SceneItem:
        """Item number `index` of a split. ValueError for an unknown split."""

    @abstractmethod
    def follows(self, answer: str) -> bool:
        """Whether the answer has the form that was asked for."""

    def items(self, split: str, limit: int | None) -> Iterator[Item]:
        """Every item has a picture of its own."""
        for item in islice(dataset.items(split, make=self.make), self.count(split, limit)):
            yield Item(item.id, item.id, item.image, item.question, item.answer, item.kind)

    def count(self, split: str, limit: int | None) -> int:
        """Raises ValueError without a limit: the generator never ends."""
        if limit is None:
            raise ValueError("drawn scenes have no last item: give a limit, for example --limit 300")
        return limit

    def score(self, answer: str, gold: str) -> float:
        """Exact match, but for case, spaces and a full stop."""
        return EXACT.score(answer, gold)

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """The share of right answers."""
        return {"accuracy": fmean(one.score for one in answered)}

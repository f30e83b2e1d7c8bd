"""A public benchmark: rows of a table become items, a rule of the benchmark scores."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2s
from itertools import islice
from statistics import fmean
from typing import Any, ClassVar

from PIL import Image

from arr_coc.eval.metrics.rule import Rule
from arr_coc.eval.tasks import rows
from arr_coc.eval.tasks.prompts import Wording, asked
from arr_coc.eval.tasks.rows import Row
from arr_coc.eval.tasks.tables import Hub, home
from arr_coc.eval.tasks.task import Answered, Item


def by_kind(answered: Sequence[Answered]) -> dict[str, float]:
    """The mean score of each kind, in the order of the alphabet."""
    kinds = sorted({one.kind for one in answered})
    return {kind: fmean(one.score for one in answered if one.kind == kind) for kind in kinds}


@dataclass(frozen=True)
class Benchmark(ABC):
    """What the file of a benchmark fills in: where, in which words, by which rule, and `read` for one row."""

    data: str | None = None
    """Folder or file of the same schema, or a copy on the hub; None: the benchmark's own place."""
    family: str = ""
    """The `model_type` that the questions are worded for."""

    hub: ClassVar[Hub]
    wording: ClassVar[Wording]
    rule: ClassVar[Rule]
    max_new_tokens: ClassVar[int] = 16
    headline: ClassVar[str] = "accuracy"
    films: ClassVar[bool] = False
    """Whether rows name files that have to lie on this machine."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that have answers."""
        return self.hub.splits

    @abstractmethod
    def read(self, row: Row) -> Item:
        """One row as an item. ValueError or OSError if it cannot be asked, KeyError for another schema."""

    def rows(self, split: str) -> Iterator[Row]:
        """What `read` is given."""
        return rows.read(self.hub, self.data, split)

    def size(self, split: str) -> int:
        """How many rows that is."""
        return rows.count(self.hub, self.data, split)

    def items(self, split: str, limit: int | None) -> Iterator[Item]:
        """A row that cannot be asked is an item with a fault. ValueError for a table of another schema."""
        self._check(split)
        seen: set[str] = set()
        for number, row in enumerate(islice(self.rows(split), limit)):
            item = self._item(row, f"row-{number:06d}")
            if item.id in seen:
                item = replace(item, id=f"{item.id}#{number}", fault=f"the id {item.id} was used before")
            seen.add(item.id)
            yield item

    def count(self, split: str, limit: int | None) -> int:
        """All of them, or as many as asked for."""
        self._check(split)
        size = self.size(split)
        return size if limit is None else min(limit, size)

    def score(self, answer: str, gold: str) -> float:
        """By the rule of the benchmark."""
        return self.rule.score(answer, gold)

    def follows(self, answer: str) -> bool:
        """By the rule of the benchmark."""
        return self.rule.follows(answer)

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """The mean score, which is what most benchmarks report."""
        return {"accuracy": fmean(one.score for one in answered)}

    def ask(self, question: str, **more: Any) -> str:
        """In the words for this family."""
        return asked(self.wording, self.family, question, **more)

    def picture(self, value: Any) -> Image.Image:
        """A picture of a row; ValueError or FileNotFoundError where it cannot be used."""
        return rows.picture(value, self.data)

    def cluster(self, value: Any) -> str:
        """A name for a picture without one, the same in all rows that show it: from its file, not decoded."""
        return self.fingerprint(rows.content(value, self.data))

    @staticmethod
    def fingerprint(*parts: str | bytes) -> str:
        """A short name for a content: the same on every machine."""
        digest = blake2s(digest_size=8)
        for part in parts:
            digest.update(part if isinstance(part, bytes) else part.encode())
        return digest.hexdigest()

    def _check(self, split: str) -> None:
        if self.films:
            home(self.data)
        if split not in self.splits:
            name = type(self).__name__
            raise ValueError(
                f"{name} has no split called {split!r} with answers; known: {', '.join(self.splits)}"
            )

    def _item(self, row: Row, name: str) -> Item:
        try:
            return self.read(row)
        except KeyError as error:
            had = ", ".join(key for key in row if key not in (rows.CONFIG, rows.NUMBER))
            raise ValueError(
                f"{type(self).__name__} needs the column {error}, the table has: {had}"
            ) from error
        # The last three are what comes of an empty cell where text, a list or a number should be.
        except (ValueError, OSError, EOFError, TypeError, AttributeError, IndexError) as error:
            blank = Image.new("RGB", (28, 28))
            return Item(name, name, blank, "", "", "faulty", fault=str(error) or type(error).__name__)

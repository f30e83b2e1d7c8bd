"""What a task is: items with a picture, a question and the right answer, and a rule that scores."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from PIL import Image

from arr_coc.registry import Registry


@dataclass(frozen=True)
class Item:
    """One question about one picture."""

    id: str
    """Unique within the task."""
    picture: str
    """Items with the same picture share this name: they are not independent, and the intervals know it."""
    image: Image.Image
    question: str
    """What the model is asked, word for word."""
    gold: str
    """The right answer."""
    kind: str
    """Accuracy is also reported by kind."""


@runtime_checkable
class Task(Protocol):
    """A frozen dataclass in `eval/tasks/`, one file each."""

    max_new_tokens: ClassVar[int]
    """Longest answer that is generated."""

    def items(self, split: str, limit: int | None) -> Iterator[Item]:
        """The first `limit` items of a split, always in the same order. ValueError for an unknown split."""
        ...

    def count(self, split: str, limit: int | None) -> int:
        """How many items that is, for the progress bar. ValueError if there is no end to them."""
        ...

    def score(self, answer: str, gold: str) -> float:
        """In [0, 1]; 1 is right."""
        ...


TASKS: Registry[type[Task]] = Registry("task")
"""Every task."""

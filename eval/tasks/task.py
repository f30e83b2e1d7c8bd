"""What a task is: items with pictures, a question and the right answer, and a rule that scores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from PIL import Image

from arr_coc.registry import Registry

MARK = "<image>"
"""Where a picture stands in a question, if the question says so for each of its pictures."""
SAMPLES = Path(__file__).parent / "samples"
"""Ten drawn rows of every benchmark, in its own schema: what `data="sample"` means."""


_PLACES = ("data", "family")
"""Fields of a task that `open_task` fills by itself."""


@dataclass(frozen=True)
class Item:
    """One question about one picture, several pictures, or a film."""

    id: str
    """Unique within the task."""
    picture: str
    """Items with the same picture share this name: they are not independent, and the intervals know it."""
    image: Image.Image
    """May be decoded when somebody looks at it: processes that do not ask the item do not wait for it."""
    question: str
    """What the model is asked, word for word. Pictures come first, unless it has a `MARK` for each."""
    gold: str
    """The right answer; several, or a letter and its options, are JSON: see `arr_coc.eval.metrics.gold`."""
    kind: str
    """Accuracy is also reported by kind."""
    more: tuple[Image.Image, ...] = ()
    """Pictures after the first, in the order in which the question means them."""
    film: bool = False
    """The pictures are frames of one film, evenly spaced in time."""
    fault: str = ""
    """Why this row cannot be asked, such as a damaged picture; empty if it can."""

    @property
    def pictures(self) -> tuple[Image.Image, ...]:
        """All of them."""
        return (self.image, *self.more)


def looked_at(item: Item) -> Item:
    """With its pictures decoded; with a fault where one of them is damaged."""
    try:
        for picture in item.pictures:
            picture.load()
    except (ValueError, OSError, EOFError, SyntaxError) as error:  # the last two are Pillow's
        return replace(item, fault=str(error) or type(error).__name__)
    return item


@runtime_checkable
class Answered(Protocol):
    """What a summary is made from: an answered item, such as a `Sample`."""

    @property
    def picture(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def gold(self) -> str: ...
    @property
    def score(self) -> float: ...


@runtime_checkable
class Task(Protocol):
    """A frozen dataclass in `eval/tasks/`, one file each."""

    max_new_tokens: ClassVar[int]
    """Longest answer that is generated."""
    headline: ClassVar[str]
    """The key of `summary` that papers report."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Parts that have answers; the one that papers report comes first."""
        ...

    def items(self, split: str, limit: int | None) -> Iterator[Item]:
        """The first `limit` items of a split, always in the same order. ValueError for an unknown split."""
        ...

    def count(self, split: str, limit: int | None) -> int:
        """How many items that is, for the progress bar. ValueError if there is no end to them."""
        ...

    def score(self, answer: str, gold: str) -> float:
        """In [0, 1]; 1 is right."""
        ...

    def follows(self, answer: str) -> bool:
        """Whether the answer has the form that was asked for, such as a single letter, right or wrong."""
        ...

    def summary(self, answered: Sequence[Answered]) -> dict[str, float]:
        """The benchmark's own numbers; `accuracy`, the mean score, is always among them.

        A function of the list alone: a bootstrap can call it on a resample. ValueError for an empty one.
        """
        ...


TASKS: Registry[type[Task]] = Registry("task")
"""Every task."""


def open_task(name: str, data: str | None = None, family: str = "", options: Sequence[str] = ()) -> Task:
    """A task that reads its rows from `data` and words its questions for a family of models.

    `data` is a folder, a .parquet or .jsonl file, the hub name of a copy, or `sample`; None is the
    benchmark's own place on the hub. `family` is a `model_type`; an unknown one is asked in the usual words.
    `options` are other fields of the task, each as it is written: `n_frames=16`.

    Raises KeyError for an unknown task, ValueError for data where a task makes its own and for an option
    that it has not, or that is given another kind of value.
    """
    part: Any = TASKS[name]
    known = {field.name for field in fields(part)}
    if data is not None and "data" not in known:
        raise ValueError(f"{name} draws its own items: leave the data away, got {data!r}")
    if data == "sample":
        shared = name.removesuffix("_ocr")  # with and without a hint are the same rows
        data = str(next(path for path in SAMPLES.iterdir() if path.stem == shared))
    given = {key: value for key, value in (("data", data), ("family", family)) if key in known}
    task: Task = part(**given, **options_of(name, options))
    return task


def option_kinds(name: str) -> dict[str, Any]:
    """What else than data and family a task lets one set, and the kind of its value: a number or a text."""
    part: Any = TASKS[name]
    own = [field for field in fields(part) if field.name not in _PLACES]
    return {field.name: field.type for field in own if field.type in (int, float, str)}


def options_of(name: str, options: Sequence[str]) -> dict[str, Any]:
    """Written options of a task as values of the kinds that its fields have. Raises as `open_task` does."""
    kinds = option_kinds(name)
    known = ", ".join(f"{key} ({kind.__name__})" for key, kind in kinds.items()) or "none"
    found: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or key not in kinds:
            raise ValueError(f"{name} has no option {option!r}: write key=value; known: {known}")
        if key in found:
            raise ValueError(f"the option {key} of {name} is given twice: {found[key]} and {text}")
        try:
            found[key] = kinds[key](text)
        except ValueError:
            kind = kinds[key].__name__
            raise ValueError(f"{key} of {name} must be of the kind {kind}, got {text!r}") from None
    return found

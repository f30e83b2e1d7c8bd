"""The record of one answered item: what any run of the same evaluation gives, and how long it took here."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from arr_coc.eval.checked import records
from arr_coc.eval.method import Budget

Key = tuple[str, str, Budget, str]
TIMES = ("seconds", "prefill_ms", "select_ms")
"""What no second run gives again. It stands in a file of its own, so that the records can be compared byte
by byte: `sort samples.jsonl | sha256sum`."""


@dataclass(frozen=True)
class Sample:
    """One answered item. Times and bytes are the batch's, divided by its rows."""

    id: str
    task: str
    method: str
    budget: Budget
    question: str
    answer: str
    gold: str
    score: float
    kept: int | float
    """Visual tokens that the language model saw: the mean over its layers, where those differ; of all looks
    together if there were several."""
    visual: int
    """Visual tokens that the picture had."""
    kind: str
    picture: str
    words: int
    """Tokens that are not visual; once a look."""
    kv_bytes: float
    token_layers: int | None = None
    """Visual tokens that each layer of the language model saw, summed over its layers; None: not counted."""
    by_layer: list[int] | None = None
    """What each layer saw; None: all as many."""
    surprise: float | None = None
    """-ln P of the answer, in nats; None: not asked for."""
    error: str = ""
    """Why there is no answer: `item: ...` if nobody could be asked, `model: ...` if the model failed."""
    seconds: float | None = None
    prefill_ms: float | None = None
    select_ms: float | None = None

    @property
    def key(self) -> Key:
        """What makes it the same item: asked of the same method at the same budget."""
        return (self.task, self.method, self.budget, self.id)

    @property
    def record(self) -> dict[str, Any]:
        """What any run of the same evaluation gives."""
        return {name: value for name, value in asdict(self).items() if name not in TIMES}

    @property
    def times(self) -> dict[str, Any]:
        """How long it took here, with what it belongs to."""
        return {name: getattr(self, name) for name in ("id", "task", "method", "budget", *TIMES)}


def read(path: Path) -> list[Sample]:
    """Every sample of samples.jsonl, with the times of timings.jsonl beside it where there are any.

    Raises ValueError naming the line that is damaged, no sample, or there twice.
    """
    times = {_key(r): r for r in records(path.with_name(path.name.replace("samples", "timings")))}
    samples: dict[Key, Sample] = {}
    for number, record in enumerate(records(path), start=1):
        try:
            sample = Sample(**record)
        except TypeError as error:
            raise ValueError(f"{path}, line {number} is not a sample ({error}): start afresh") from error
        if sample.key in samples and not samples[sample.key].error:  # a failure may be tried again
            raise ValueError(f"{path}, line {number} is there twice: delete that line")
        took = times.get(sample.key, {})
        samples[sample.key] = replace(
            sample,
            seconds=took.get("seconds"),
            prefill_ms=took.get("prefill_ms"),
            select_ms=took.get("select_ms"),
        )
    return list(samples.values())


def _key(record: dict[str, Any]) -> Key:
    return (record["task"], record["method"], record["budget"], record["id"])

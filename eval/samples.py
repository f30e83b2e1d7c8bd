"""The record of an evaluation, one line an item: it survives a kill, and no item is in it twice."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arr_coc.eval.method import Budget

Key = tuple[str, str, Budget, str]


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
    kept: int
    """Visual tokens that the language model saw."""
    visual: int
    """Visual tokens that the picture had."""
    seconds: float
    kind: str
    picture: str
    words: int
    """Tokens that are not visual."""
    prefill_ms: float
    select_ms: float
    kv_bytes: float

    @property
    def key(self) -> Key:
        """What makes it the same item: asked of the same method at the same budget."""
        return (self.task, self.method, self.budget, self.id)


def read(path: Path) -> list[Sample]:
    """Every sample of a file. Raises ValueError naming the line that cannot be read, or is there twice."""
    samples: dict[Key, Sample] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], start=1):
        sample = _parse(line)
        if sample is None or sample.key in samples:
            fault = "is not a sample" if sample is None else "is there twice"
            raise ValueError(
                f"{path}, line {number} {fault}: delete that line, or start afresh in another folder"
            )
        samples[sample.key] = sample
    return list(samples.values())


def repair(path: Path) -> list[Sample]:
    """Cut off a last line that a kill left half written, then read."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    lines = whole.splitlines(keepends=True)
    if lines and _parse(lines[-1].decode(errors="replace")) is None:
        whole = b"".join(lines[:-1])  # a disk that filled up, or lost its last page
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
            os.fsync(file.fileno())
    return read(path)


@dataclass(frozen=True)
class Writer:
    """Appends samples; what it has written is on the disk."""

    file: Any

    def write(self, samples: Iterable[Sample]) -> None:
        """One line a sample, then wait for the disk."""
        self.file.write("".join(json.dumps(asdict(s), ensure_ascii=False) + "\n" for s in samples).encode())
        self.file.flush()
        os.fsync(self.file.fileno())


@contextmanager
def writer(path: Path) -> Iterator[Writer]:
    """Open for appending. Raises ValueError while another process writes into the same file."""
    with path.open("ab") as file:
        _lock(file, path)
        yield Writer(file)


def _lock(file: Any, path: Path) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows has no such lock
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go by the system when the process ends
    except OSError as error:
        raise ValueError(
            f"another process is writing {path}: wait for it, stop it, or choose another --out"
        ) from error


def _parse(line: str) -> Sample | None:
    try:
        return Sample(**json.loads(line))
    except (ValueError, TypeError):
        return None

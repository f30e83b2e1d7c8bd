"""The files of a running evaluation: one a process, locked while it writes, made into one at the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from arr_coc.eval.atomic import write_bytes
from arr_coc.eval.checked import append, dumped, repair
from arr_coc.eval.ranks import Rank
from arr_coc.eval.samples import Key, Sample, read

WHOLE = "samples.jsonl"
PATIENCE = 60.0
"""Seconds."""


@dataclass(frozen=True)
class Journal:
    """Appends samples; what it has written is on the disk."""

    folder: Path
    _samples: Any
    _times: Any
    _lock: Any

    def write(self, samples: Sequence[Sample]) -> None:
        """One line a sample. Times first: a sample that is there is done, times without one are nobody's.

        Raises OSError where the disk is full. Nothing is lost then: the same command goes on.
        """
        try:
            append(self._times, (dumped(sample.times) for sample in samples))
            append(self._samples, (dumped(sample.record) for sample in samples))
        except OSError as error:
            raise OSError(
                f"cannot write to {self.folder} ({error.strerror or error}): make room, and run the same "
                "command again: what was answered before is kept"
            ) from error

    def merged(self) -> list[Sample] | None:
        """All samples that there are, in one file; None if another process is at work, which will do it."""
        if not _locked(self._lock, alone=True):
            return None
        samples = everything(self.folder)
        parts = [path for path in _parts(self.folder) if path.name != WHOLE]
        lines = sum(path.read_bytes().count(b"\n") for path in _parts(self.folder))
        if parts or lines > len(samples):
            write_bytes(self.folder / "timings.jsonl", b"".join(dumped(s.times) for s in samples))
            write_bytes(self.folder / WHOLE, b"".join(dumped(s.record) for s in samples))
        for path in parts:  # a kill from here on leaves samples in two files, which are one to everything()
            path.unlink()
            _times_of(path).unlink(missing_ok=True)
        return samples


def everything(folder: Path) -> list[Sample]:
    """The samples of all processes, each once; an answer counts more than a failure before it."""
    found: dict[Key, Sample] = {}
    for path in _parts(folder):
        for sample in read(path):
            if sample.key not in found or found[sample.key].error:
                found[sample.key] = sample
    return list(found.values())


@contextmanager
def journal(folder: Path, rank: Rank) -> Iterator[Journal]:
    """Open the file of this process. Raises ValueError while another run is at work in the folder.

    A process that is alone shuts everybody out; several let each other in, but none of the same rank.
    """
    path = folder / (WHOLE if rank.of == 1 else f"samples.{rank.index}.jsonl")
    with (folder / ".lock").open("ab") as lock, path.open("ab", buffering=0) as samples:
        # One of several may come while another, which was early, puts files together: it waits a little.
        deadline = perf_counter() + (PATIENCE if rank.of > 1 else 0.0)
        while not (let_in := _locked(lock, alone=rank.of == 1)) and perf_counter() < deadline:
            sleep(0.1)
        if not (let_in and _locked(samples, alone=True)):
            raise ValueError(
                f"another process is writing into {folder}: wait for it, stop it, or choose another --out"
            )
        repair(path)
        repair(_times_of(path))
        with _times_of(path).open("ab", buffering=0) as times:
            yield Journal(folder, samples, times, lock)


def _parts(folder: Path) -> list[Path]:
    return [path for path in (folder / WHOLE, *sorted(folder.glob("samples.*.jsonl"))) if path.exists()]


def _times_of(path: Path) -> Path:
    return path.with_name(path.name.replace("samples", "timings"))


def _locked(file: Any, alone: bool) -> bool:
    """Whether the lock could be had. The system lets go of it when the process ends, however it ends."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows has no such lock
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

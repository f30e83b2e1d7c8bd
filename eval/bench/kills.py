"""Kill an evaluation at random moments, start it again, and compare with one that nobody stopped."""

import hashlib
import multiprocessing
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Protocol, runtime_checkable

import yaml  # type: ignore[import-untyped]

from arr_coc.eval.config import RunConfig
from arr_coc.eval.environment import environment
from arr_coc.eval.run import evaluate, total

RECORDS = "samples.jsonl"


@runtime_checkable
class Running(Protocol):
    """A process: `subprocess.Popen` is one."""

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def poll(self) -> int | None:
        """Exit code; None while it runs."""
        ...

    def wait(self) -> int:
        """Exit code, once it has ended."""
        ...


Start = Callable[[RunConfig], Running]


def start(config: RunConfig) -> Running:
    """`arr-coc eval` in a process of its own."""
    Path(config.out).mkdir(parents=True, exist_ok=True)
    settings = Path(config.out) / "settings.yaml"
    settings.write_text(yaml.safe_dump(config.plain()))
    return subprocess.Popen(
        [sys.executable, "-m", "arr_coc.eval.cli", "eval", "--config", str(settings)],
        stdout=subprocess.DEVNULL,
    )


class Forked:
    """A run in a copy of this process: it need not import everything anew. POSIX only."""

    def __init__(self, config: RunConfig) -> None:
        context: Any = multiprocessing.get_context("fork")
        self.process = context.Process(target=evaluate, args=(config,))
        self.process.start()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def poll(self) -> int | None:
        """Exit code; None while it runs."""
        code: int | None = self.process.exitcode
        return code

    def wait(self) -> int:
        """Exit code, once it has ended."""
        self.process.join()
        return int(self.process.exitcode)


def measure(
    config: RunConfig,
    kills: int,
    seed: int = 0,
    slack: float = 5.0,
    start: Start = start,
    say: Callable[[str], None] = lambda what: None,
) -> dict[str, Any]:
    """Records of a run that was killed `kills` times and of an unbroken one: are they the same?"""
    with tempfile.TemporaryDirectory(prefix="arr-coc-kills-") as folder:
        whole, broken = (replace(config, out=f"{folder}/{name}") for name in ("whole", "broken"))
        unbroken = start(whole)  # beside the other, which is killed
        try:
            moments = killed(broken, kills, seed, slack, start, say)
            say("to the end")
            _finish(start(broken))
        except BaseException:
            unbroken.kill()
            raise
        _finish(unbroken)
        ours, theirs = (sorted((Path(c.out) / RECORDS).read_bytes().splitlines()) for c in (broken, whole))
    return {
        **environment(),
        "seed": seed,
        "items": config.limit,
        "model": config.model,
        "settings": [f"{method.name} at {budget}" for method, budget in config.settings()],
        "note": "SIGKILL at random moments; records_at_kill: whole lines on the disk at that moment; "
        "sha256 of the sorted lines of samples.jsonl",
        "started_by": getattr(start, "__name__", "?"),
        "kills": len(moments),
        "records_at_kill": moments,
        "records": len(ours),
        "distinct_records": len(set(ours)),
        "expected_records": total(config),
        "sha256": hashlib.sha256(b"\n".join(ours)).hexdigest(),
        "unbroken_sha256": hashlib.sha256(b"\n".join(theirs)).hexdigest(),
        "same": ours == theirs,
    }


def killed(
    config: RunConfig,
    kills: int,
    seed: int,
    slack: float,
    start: Start = start,
    say: Callable[[str], None] = lambda what: None,
) -> list[int]:
    """Kill so many runs in one folder; how many records there were each time.

    A moment is a random number of records, the same or a few for some, and up to `slack` random seconds more:
    so some are killed while they load, some while they write.
    """
    draw = random.Random(seed)
    expected = total(config)
    moments = []
    for i, goal in enumerate(sorted(int(0.95 * expected * draw.random()) for _ in range(kills))):
        say(f"kill {i + 1} of {kills}, after {goal} of {expected} records")
        process, later = start(config), slack * draw.random()
        while process.poll() is None and _written(config) < goal:
            sleep(0.002)
        deadline = perf_counter() + later
        # Nearly done already: kill now, or there would be nothing to kill.
        while process.poll() is None and perf_counter() < deadline and _written(config) < 0.97 * expected:
            sleep(0.002)
        if process.poll() is not None:
            raise RuntimeError(f"the run ended by itself with exit code {process.poll()} before kill {i + 1}")
        process.kill()
        process.wait()
        moments.append(_written(config))
    return moments


def _written(config: RunConfig) -> int:
    path = Path(config.out) / RECORDS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _finish(process: Running) -> None:
    if code := process.wait():
        raise RuntimeError(f"an evaluation ended with exit code {code}: run it by hand to see why")

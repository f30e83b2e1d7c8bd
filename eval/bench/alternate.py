"""Time calls beside each other in one process: warm blocks of each in turn, in CPU time."""

from collections.abc import Callable, Mapping
from math import ceil
from time import perf_counter, process_time, sleep
from typing import Any, TypeVar

Call = Callable[[], Any]
K = TypeVar("K")

BLOCK = 50e-3
"""Seconds of CPU time that a block lasts, roughly: faster calls are made several times in a row."""
WARM = 20e-3
"""Seconds of the same calls before a block that are not counted, at least one call."""
SLOW = 0.1
"""Seconds from which a call is too long for its beginning to matter: none goes before it."""
PATIENCE = 0.5
"""Seconds to wait at the longest for the threads of the call before."""


def alternate(calls: Mapping[K, Call], rounds: int, slowest: float) -> dict[K, list[float]]:
    """Seconds of CPU time that one call takes, for each round; at least three rounds, `slowest` seconds of
    them.

    What is timed is what a loop of one's own would see, in the same way for every call. CPU time is that of
    all threads of the process, since XLA computes in threads of its own; but these free memory and spin for
    up to five milliseconds after their call has returned, which would count as work of whoever comes next. So
    a block begins when the process rests; the tail is counted for nobody, which favours whoever leaves one.
    And calls that are not counted come first, since another's working set has just driven this one's out of
    the caches: a table of 26 MB read anew from memory doubles a call of 9 ms, Python's own code and data
    double one of 8 us.
    """
    repeats: dict[K, tuple[int, int]] = {}
    for key, call in calls.items():
        call()  # compiles
        call()
        took = _seconds(call, _enough(call))
        warm = 0 if took > SLOW else ceil(WARM / took)
        repeats[key] = warm, max(1, round(BLOCK / took))
    times: dict[K, list[float]] = {key: [] for key in calls}
    began = process_time()
    for done in range(rounds):
        for key, call in calls.items():
            rest()
            warm, counted = repeats[key]
            _seconds(call, warm)
            times[key].append(_seconds(call, counted))
        if done >= 2 and process_time() - began > slowest:
            break
    return times


def rest() -> None:
    """Wait until no thread of this process runs, or for half a second."""
    until = perf_counter() + PATIENCE
    while perf_counter() < until:
        wall, cpu = perf_counter(), process_time()
        sleep(2e-3)
        if process_time() - cpu < 0.1 * (perf_counter() - wall):
            return


def _enough(call: Call) -> int:
    """How many calls last a millisecond, roughly: one alone is too short to be timed."""
    n = 1
    while n < 1000 and n * _seconds(call, n) < 1e-3:
        n *= 4
    return n


def _seconds(call: Call, n: int) -> float:
    """Of one of n calls in a row."""
    started = process_time()
    for _ in range(n):
        call()
    return (process_time() - started) / max(1, n)

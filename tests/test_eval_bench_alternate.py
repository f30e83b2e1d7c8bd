"""Alternating timing, on a machine whose clocks stand still unless something is done."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from arr_coc.eval.bench import alternate


@dataclass
class Machine:
    """Calls that take known times; one leaves a thread running that nobody waits for."""

    wall: float = 0.0
    cpu: float = 0.0
    busy: float = 0.0
    """Seconds that another thread will still run."""
    done: list[str] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        ran = min(self.busy, seconds)
        self.wall, self.cpu, self.busy = self.wall + seconds, self.cpu + ran, self.busy - ran

    def call(self, name: str, seconds: float, tail: float = 0.0, first: float = 0.0) -> Callable[[], None]:
        """`tail`: of the thread that it leaves; `first`: how much longer if another was called before."""

        def made() -> None:
            cold = first if self.done[-1:] != [name] else 0.0
            beside = min(self.busy, seconds)
            self.wall, self.cpu = self.wall + seconds + cold + beside, self.cpu + seconds + cold + beside
            self.busy = max(self.busy - beside, tail)
            self.done.append(name)

        return made


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(alternate, "sleep", made.sleep)
    monkeypatch.setattr(alternate, "process_time", lambda: made.cpu)
    monkeypatch.setattr(alternate, "perf_counter", lambda: made.wall)
    return made


def test_a_call_is_timed_as_if_it_were_alone(machine: Machine) -> None:
    ours, peer = machine.call("ours", 1e-5, first=3e-5), machine.call("peer", 0.2, tail=5e-3)

    times = alternate.alternate({"ours": ours, "peer": peer}, 4, 1e9)

    # Neither the thread that the peer left running nor the cold start after it.
    assert times["ours"] == pytest.approx([1e-5] * 4)
    assert times["peer"] == pytest.approx([0.2] * 4)


def test_blocks_alternate_and_short_calls_fill_theirs(machine: Machine) -> None:
    calls = {"short": machine.call("short", 1e-3), "long": machine.call("long", 0.5)}

    alternate.alternate(calls, 3, 1e9)

    # The last round: 20 ms that do not count and 50 that do; the long one warms itself.
    assert machine.done[-71:] == ["short"] * 70 + ["long"]
    assert machine.done[-142:-71] == ["short"] * 70 + ["long"]


def test_three_rounds_are_made_however_slow(machine: Machine) -> None:
    times = alternate.alternate({"slow": machine.call("slow", 20.0)}, 9, 30.0)

    assert len(times["slow"]) == 3


def test_it_does_not_wait_for_ever_for_a_process_that_never_rests(machine: Machine) -> None:
    machine.busy = 1e9

    alternate.rest()

    assert machine.wall == pytest.approx(alternate.PATIENCE, abs=5e-3)

"""What the machine tells while something runs: peak memory and energy, or that it does not tell."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

RAPL = Path("/sys/class/powercap")
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Gauge:
    """Filled when the block ends; None where the machine does not tell."""

    peak_bytes: int | None = None
    """Most memory held at once: of the accelerator's allocator, on a CPU of the whole process."""
    joules: float | None = None
    """Of the processor packages (RAPL) or of the GPU (NVML), whoever used them."""


@contextmanager
def gauged(device: torch.device) -> Iterator[Gauge]:
    """Watch a block."""
    gauge, energy = Gauge(), _energy(device)
    reset = _reset_peak(device)
    before = energy() if energy else 0.0
    yield gauge
    if reset:
        gauge.peak_bytes = _peak(device)
    if energy:
        spent = energy() - before
        gauge.joules = spent if spent >= 0 else None  # the counter went round


def _reset_peak(device: torch.device) -> bool:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        RESET.write_text("5")  # Linux: the peak of resident memory starts anew
    except OSError:
        return False
    return True


def _peak(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    found = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(found[0].split()[1]) if found else None


def _energy(device: torch.device) -> Callable[[], float] | None:
    """Joules since some time; None if nobody counts, or only root may know."""
    if device.type == "cuda":
        return _nvml(device)
    counters = sorted(RAPL.glob("intel-rapl:[0-9]*/energy_uj"))
    packages = [path for path in counters if path.parent.name.count(":") == 1]

    def joules() -> float:
        return sum(int(path.read_text()) for path in packages) / 1e6

    try:
        return joules if packages and joules() >= 0 else None
    except OSError:
        return None


def _nvml(device: torch.device) -> Callable[[], float] | None:
    try:
        nvml: Any = import_module("pynvml")
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByIndex(device.index or 0)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # its errors are classes of a package that need not be there
        return None
    return lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3

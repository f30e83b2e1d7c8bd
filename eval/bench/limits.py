"""What a processor's rates allow: multiplications, logarithms and bytes, counted in the very call that is
timed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import process_time
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from arr_coc.agent.product import product

CACHED = 2**20
"""Bytes: an operand up to this size is taken to be in a core's cache already."""


@dataclass
class Counted(TorchDispatchMode):
    """While it is entered, counts what the matrix products and logarithms of torch do."""

    multiplications: int = 0
    logarithms: int = 0
    bytes: int = 0
    """Read from tables: of a single row times a table every time, since there all the work is to read it; of
    other products once, where the table is too large for a core's cache."""
    calls: int = 0
    """Operations of torch, of any kind."""
    _seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.calls += 1
        if name in ("mm", "bmm", "dense", "addmm", "mv"):
            left, right = [a for a in args if isinstance(a, Tensor)][-2:]
            self.multiplications += out.numel() * left.shape[-1]
            rows = left.shape[-2] if name == "bmm" else left.numel() // left.shape[-1]
            size = right.numel() * right.element_size()
            if rows == 1 or (size > CACHED and right.data_ptr() not in self._seen):
                self._seen.add(right.data_ptr())
                self.bytes += size
        if name == "log":
            self.logarithms += out.numel()
        return out


@dataclass(frozen=True)
class Rates:
    """Of one core, in CPU time, as fast as the kernels of this program reach."""

    gflops: float
    """Billions of additions and multiplications a second, of a product of matrices that fit in the cache."""
    log_ns: float
    """Of one p ln p with its sum, compiled."""
    gigabytes: float
    """A second, of a row times a table of 16 MB, compiled: a third of what merely adding the table up would
    make believe."""
    call_us: float
    """Of the least that torch does when it is called: 64 numbers negated in place."""

    @classmethod
    def measure(cls) -> "Rates":
        """Medians of a quarter of a second each."""
        x, w, p, m = torch.rand(4096, 64), torch.rand(1024, 64), torch.rand(2048, 100), torch.rand(2**16, 64)
        row = torch.rand(1, 64)
        entropy = torch.compile(lambda p: (p * p.clamp_min(1e-16).log()).sum(-1), dynamic=False)
        times = torch.compile(lambda row, m: product(row, m), dynamic=False)
        with torch.no_grad():
            entropy(p)
            times(row, m)
            return cls(
                2 * 4096 * 1024 * 64 / _seconds(lambda: product(x, w)) / 1e9,
                _seconds(lambda: entropy(p)) / p.numel() * 1e9,
                16 * 2**20 / _seconds(lambda: times(row, m)) / 1e9,
                _seconds(lambda: [row.neg_() for _ in range(1000)]) / 1000 * 1e6,
            )

    def limit_ms(self, counted: Counted, called: bool = False) -> float:
        """Products at the rate of the slower of arithmetic and memory, then logarithms.

        `called`: and the price of every operation, where they are called one by one, not compiled.
        """
        arithmetic = 2 * counted.multiplications / self.gflops / 1e9
        memory = counted.bytes / self.gigabytes / 1e9
        calls = counted.calls * self.call_us / 1e6 if called else 0.0
        return 1e3 * (max(arithmetic, memory) + counted.logarithms * self.log_ns / 1e9 + calls)


def _seconds(call: Callable[[], Any]) -> float:
    times: list[float] = []
    while sum(times) < 0.25:
        started = process_time()
        call()
        times.append(process_time() - started)
    return median(times)

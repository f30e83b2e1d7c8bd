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
    """Read from operands too large for a core's cache, each operand once."""
    _seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm", "dense", "addmm", "mv"):
            left, right = [a for a in args if isinstance(a, Tensor)][-2:]
            self.multiplications += out.numel() * left.shape[-1]
            for operand in (left, right):
                size = operand.numel() * operand.element_size()
                if size > CACHED and operand.data_ptr() not in self._seen and operand is right:
                    self._seen.add(operand.data_ptr())
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
    """A second, read from 16 MB."""

    @classmethod
    def measure(cls) -> "Rates":
        """Medians of a quarter of a second each."""
        x, w, p, m = torch.rand(4096, 64), torch.rand(1024, 64), torch.rand(2048, 100), torch.rand(2**22)
        entropy = torch.compile(lambda p: (p * p.clamp_min(1e-16).log()).sum(-1), dynamic=False)
        with torch.no_grad():
            entropy(p)
            return cls(
                2 * 4096 * 1024 * 64 / _seconds(lambda: product(x, w)) / 1e9,
                _seconds(lambda: entropy(p)) / p.numel() * 1e9,
                16 * 2**20 / _seconds(m.sum) / 1e9,
            )

    def limit_ms(self, counted: Counted) -> float:
        """Products at the rate of the slower of arithmetic and memory, then logarithms."""
        arithmetic = 2 * counted.multiplications / self.gflops / 1e9
        memory = counted.bytes / self.gigabytes / 1e9
        return 1e3 * (max(arithmetic, memory) + counted.logarithms * self.log_ns / 1e9)


def _seconds(call: Callable[[], Any]) -> float:
    times: list[float] = []
    while sum(times) < 0.25:
        started = process_time()
        call()
        times.append(process_time() - started)
    return median(times)

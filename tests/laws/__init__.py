"""The laws of attaching, one function each: it returns the largest difference that it found, in logits.

`python -m tests.laws [PATH]` writes the table of all families as JSON. The oracles are models without hooks.
"""

from collections.abc import Callable
from importlib import import_module

from arr_coc.adapters.tiny import Tiny

EXACT, CLOSE = 0.0, 1e-4
Law = Callable[[Tiny], float]
LAWS: dict[str, tuple[Law, float]] = {}
"""Every law with the largest difference that it allows."""


def law(allowed: float) -> Callable[[Law], Law]:
    """Decorator: file a law under its name."""

    def file(function: Law) -> Law:
        LAWS[function.__name__] = function, allowed
        return function

    return file


for _module in ("pruning", "memory", "precision", "structure"):
    import_module(f"{__name__}.{_module}")

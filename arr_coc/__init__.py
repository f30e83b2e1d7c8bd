"""arr-coc: how many visual tokens a question is worth, and which, decided by expected free energy."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arr_coc.allocate import Allocator
    from arr_coc.attach import attached
    from arr_coc.encode import Encoded, encoded

__all__ = ["Allocator", "Encoded", "attached", "encoded"]
__version__ = "0.1.0"

_HOMES = {
    "Allocator": "arr_coc.allocate",
    "Encoded": "arr_coc.encode",
    "attached": "arr_coc.attach",
    "encoded": "arr_coc.encode",
}
"""Where each name is imported from when it is first used: the agent core alone needs no transformers."""


if not TYPE_CHECKING:  # a checker that saw it would let every misspelt name pass

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Scorers: one file each, found here, registered in `SCORERS`."""

from importlib import import_module
from pkgutil import iter_modules

from arr_coc.registry import Registry
from arr_coc.types import Scorer

SCORERS: Registry[type[Scorer]] = Registry("scorer")
"""What values tokens. A `positional` scorer looks at places; one that `mixes_batch` sees its neighbours."""

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

"""Budgets: one file each, found here, registered in `BUDGETS`."""

from importlib import import_module
from pkgutil import iter_modules

from arr_coc.registry import Registry
from arr_coc.types import Budget

BUDGETS: Registry[type[Budget]] = Registry("budget")
"""How many tokens a picture may keep. A `fixed` budget does not read the scores."""

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

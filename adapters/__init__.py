"""Model families: one file each, found here, registered in `FAMILIES`."""

from importlib import import_module
from pkgutil import iter_modules

if __name__ != "arr_coc.adapters":
    # Under a second name every registry would exist twice.
    raise ImportError(f"import this package as arr_coc.adapters, not as {__name__}")

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

"""Ask for an optional package before the work begins, and say how to get it."""

from importlib import import_module

EXTRAS = {"open_clip": "clip"}
"""Which extra brings a package, where it is not `eval`."""


def need(*packages: str) -> None:
    """Raises ModuleNotFoundError that names the extra, for the first package that is not installed."""
    for package in packages:
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(missing(package), name=package) from error


def missing(package: str) -> str:
    """What to do about it."""
    return f"{package} is not installed: pip install 'arr-coc[{EXTRAS.get(package, 'eval')}]'"

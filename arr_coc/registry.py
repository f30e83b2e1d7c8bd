"""Named parts: a registry holds classes (or data), says what it has, and guesses what a typo meant."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")
P = TypeVar("P")


class Registry(Mapping[str, T]):
    """A mapping from a name to a part, filled by decorators. Iterates in alphabetical order.

    `filled_by`: the module that files the parts; it is imported when they are first asked for.
    """

    def __init__(self, kind: str, filled_by: str | None = None) -> None:
        self.kind = kind
        """What one entry is called in error messages, for example `scorer`."""
        self.filled_by = filled_by
        self._parts: dict[str, T] = {}

    def register(self, name: str) -> Callable[[P], P]:
        """Decorator: file what follows under `name`. Raises ValueError if the name is taken."""

        def file(part: P) -> P:
            self.add(name, part)  # type: ignore[arg-type]
            return part

        return file

    def add(self, name: str, part: T) -> None:
        """File `part` under `name`. Raises ValueError if the name is taken."""
        if name in self._filled():
            raise ValueError(f"there is a {self.kind} called {name!r} already; choose another name")
        self._parts[name] = part

    def __getitem__(self, name: str) -> T:
        parts = self._filled()
        if name in parts:
            return parts[name]
        near = difflib.get_close_matches(str(name), parts, n=1)
        guess = f"; did you mean {near[0]!r}?" if near else "."
        raise KeyError(f"no {self.kind} called {name!r}{guess} Known: {', '.join(self)}")

    def __contains__(self, name: object) -> bool:
        return name in self._filled()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._filled()))

    def __len__(self) -> int:
        return len(self._filled())

    def _filled(self) -> dict[str, T]:
        if self.filled_by is not None:
            # Costs a look-up once it is imported; while it is, its own parts see what is there so far.
            import_module(self.filled_by)
        return self._parts

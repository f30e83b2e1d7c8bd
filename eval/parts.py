"""What `arr-coc list` and `arr-coc cite` show: the registries, and the docstrings of what is in them."""

import inspect
import sys
from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

import arr_coc.adapters  # noqa: F401  (fills FAMILIES)
from arr_coc.budgets import BUDGETS
from arr_coc.eval.method import SWITCHES
from arr_coc.eval.nano import MODELS
from arr_coc.eval.tasks import TASKS
from arr_coc.eval.tasks.task import option_kinds
from arr_coc.family import FAMILIES
from arr_coc.positions import POSITIONS
from arr_coc.relevance import RELEVANCE
from arr_coc.scorers import SCORERS
from arr_coc.select import SELECTORS


def show_parts(console: Console) -> None:
    """One table a registry."""
    _table(console, "models (--model)", ((name, str(folder)) for name, folder in MODELS.items()))
    _table(console, "tasks (--task)", ((name, _first(TASKS[name]) + _options(name)) for name in TASKS))
    switches = ", ".join(f"+{switch}" for switch in SWITCHES)
    _table(console, f"methods (--methods), each with {switches}", ((n, _about(SCORERS[n])) for n in SCORERS))
    _table(console, "selectors", ((name, _first(SELECTORS[name])) for name in SELECTORS))
    _table(
        console, "budgets (--budgets), beside numbers", ((name, _first(BUDGETS[name])) for name in BUDGETS)
    )
    _table(
        console, "sources of relevance, as +SOURCE", ((name, _first(RELEVANCE[name])) for name in RELEVANCE)
    )
    _table(console, "positions of what is kept", ((name, _first(POSITIONS[name])) for name in POSITIONS))
    _table(console, "model families", ((name, FAMILIES[name].note) for name in FAMILIES))


def show_source(method: str, console: Console) -> None:
    """What the module and the class of a scorer say about it. Raises KeyError for an unknown one."""
    part = SCORERS[method.split("+")[0]]
    console.print(f"{method}: {_about(part)}\n", style="bold")
    console.print(inspect.getdoc(part) or "no source given")


def _table(console: Console, title: str, lines: Iterable[tuple[str, str]]) -> None:
    table = Table(title=title, title_justify="left", show_header=False, box=SIMPLE)
    for name, what in lines:
        table.add_row(name, what)
    console.print(table)


def _about(part: type) -> str:
    """What the file of a part is for."""
    return inspect.getdoc(sys.modules[part.__module__]) or ""


def _options(task: str) -> str:
    """What `--task-option` may set, with its default."""
    part: Any = TASKS[task]
    return "".join(f"; --task-option {key}={getattr(part, key) or '...'}" for key in option_kinds(task))


def _first(part: Any) -> str:
    doc = inspect.getdoc(part) or ""
    return doc.splitlines()[0] if doc else ""

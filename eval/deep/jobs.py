"""The jobs of the table: an agent and a seed, run where they live, kept when they are done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from arr_coc.eval.deep.anchors import ABOUT, anchor
from arr_coc.eval.deep.life import live
from arr_coc.eval.deep.parts import keep
from arr_coc.eval.deep.rows import TASKS

Told = dict[str, float]
"""What a job says of an episode."""
AGENTS = [*TASKS[0].rows, *ABOUT, *(name for task in TASKS[1:] for name in task.rows)]
"""In the order of the table."""


def run(
    name: str, seed: int, runs: Path, episodes: int | None, made: dict[str, Any], tell: Callable[[Told], None]
) -> None:
    """Train, evaluate, and keep what was found; of our agents also all they remember."""
    for task in TASKS:
        if name in task.rows:
            found = live(task, name, seed, tell, episodes, runs / f"{name}-{seed}.safetensors")
            keep(runs, found, made)
            return
    keep(runs, anchor(name, seed, tell), made)


def length(name: str) -> int | None:
    """Episodes that a row of ours learns for; None of an anchor, which counts steps."""
    return next((task.rows[name].episodes for task in TASKS if name in task.rows), None)

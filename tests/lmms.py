"""Functions of an installed harness, taken out of their files without importing what those need."""

import ast
import random
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def functions(file: str, *names: str) -> dict[str, Any]:
    """Those of a file under lmms_eval/tasks/ by name; skips the test where lmms-eval is not installed."""
    return taken(installed("lmms_eval", "lmms-eval") / "tasks" / file, *names)


def installed(package: str, project: str) -> Path:
    """The folder of a package, which is not imported; skips the test where it is not installed."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{project} is not installed: pip install --no-deps {project}")
    return Path(spec.submodule_search_locations[0])


def taken(file: Path, *names: str, **more: Any) -> dict[str, Any]:
    """Functions of a file by name; `more` is what else of their module they use."""
    wanted = [node for node in ast.parse(file.read_text()).body if getattr(node, "name", None) in names]
    assert len(wanted) == len(names), f"{file} has not all of {names}"
    space: dict[str, Any] = {"re": re, "np": np, "random": random} | more
    exec(compile(ast.Module(wanted, []), str(file), "exec"), space)
    return {name: space[name] for name in names}

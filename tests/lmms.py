"""Functions of an installed lmms-eval, taken out of their files without importing what those need."""

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
    spec = find_spec("lmms_eval")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the oracle, lmms-eval, is not installed: pip install --no-deps lmms-eval")
    source = (Path(spec.submodule_search_locations[0]) / "tasks" / file).read_text()
    wanted = [node for node in ast.parse(source).body if getattr(node, "name", None) in names]
    assert len(wanted) == len(names), f"{file} of this lmms-eval has not all of {names}"
    space: dict[str, Any] = {"re": re, "np": np, "random": random}
    exec(compile(ast.Module(wanted, []), file, "exec"), space)
    return {name: space[name] for name in names}

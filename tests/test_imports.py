"""What an import brings along: the agent core no transformers, every way in all model families."""

import subprocess
import sys

import pytest

import arr_coc
from arr_coc.family import FAMILIES


def said_by(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_agent_core_is_imported_without_transformers() -> None:
    code = "import arr_coc.agent, sys; print(sorted({'torch', 'transformers'} & set(sys.modules)))"

    assert said_by(code) == "['torch']"


@pytest.mark.parametrize(
    "way",
    [
        "from arr_coc.family import FAMILIES",
        "from arr_coc.attach import attached; from arr_coc.parts import FAMILIES",
        "import arr_coc; arr_coc.encoded; from arr_coc.family import FAMILIES",
    ],
)
def test_every_way_in_knows_all_families(way: str) -> None:
    assert said_by(f"{way}; print(*FAMILIES)").split() == list(FAMILIES)


def test_a_shipped_family_cannot_be_declared_again_before_anything_was_looked_up() -> None:
    code = """
from arr_coc.family import FAMILIES
try:
    FAMILIES.add("llava", None)
except ValueError as error:
    print(error)
"""

    assert "there is a model family called 'llava' already" in said_by(code)


def test_what_the_package_exports_is_there() -> None:
    assert set(arr_coc.__all__) <= set(dir(arr_coc))
    assert all(getattr(arr_coc, name).__name__ == name for name in arr_coc.__all__)
    with pytest.raises(AttributeError, match="module 'arr_coc' has no attribute 'attach_to'"):
        _ = arr_coc.attach_to  # type: ignore[attr-defined]

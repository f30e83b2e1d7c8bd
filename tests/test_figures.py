"""The README's tables are what the files in eval/results/ say, and they say where they come from."""

import json
from pathlib import Path

import pytest

import arr_coc.adapters  # noqa: F401  (fills FAMILIES)
from arr_coc.eval.figures import rebuilt
from arr_coc.family import FAMILIES
from tests.laws import BROKEN

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "eval" / "results"


def test_the_readme_says_what_the_files_say() -> None:
    readme = (ROOT / "README.md").read_text()

    assert rebuilt(readme, RESULTS) == readme


def test_a_lost_marker_is_named() -> None:
    with pytest.raises(ValueError, match="allocation"):
        rebuilt("no markers", RESULTS)


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("*.json")), ids=lambda path: path.stem)
def test_a_committed_figure_says_where_it_comes_from(path: Path) -> None:
    whole = json.loads(path.read_text())

    for part in whole.get("tasks", {"all of it": whole}).values():
        said = part | part.get("environment", {}) | part.get("config", {})
        assert {"command", "commit", "seed", "hardware"} <= said.keys()


def test_every_family_is_in_the_table_and_most_pass_every_law() -> None:
    rows = json.loads((RESULTS / "families.json").read_text())["families"]

    assert [row["model_type"] for row in rows] == list(FAMILIES)
    assert sum(row["passes"] for row in rows) >= 36
    assert {row["model_type"] for row in rows if not row["passes"]} <= set(BROKEN)

"""What is installed is what is in the folders, and nothing can be imported under a second name."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOMES = {"arr_coc": "arr_coc", "adapters": "arr_coc.adapters", "eval": "arr_coc.eval"}


def folders_with_code() -> set[str]:
    found = set()
    for home, package in HOMES.items():
        for init in (ROOT / home).rglob("__init__.py"):
            folder = init.parent
            inside = folder.relative_to(ROOT / home).parts
            if not any(part.is_symlink() for part in (folder, *folder.parents) if part != ROOT / home):
                found.add(".".join((package, *inside)))
    return found


def test_every_folder_with_code_is_packaged() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]

    assert set(declared) == folders_with_code()
    assert len(declared) == len(set(declared))


@pytest.mark.parametrize("name", ["adapters", "eval"])
def test_a_top_level_folder_refuses_its_bare_name(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {name}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert f"import this package as arr_coc.{name}" in done.stderr


def test_the_core_is_imported_without_any_extra() -> None:
    extras = (
        "matplotlib",
        "rich",
        "typer",
        "scipy",
        "datasets",
        "accelerate",
        "open_clip",
        "jinja2",
        "gymnasium",
        "av",
    )
    code = f"import sys; [sys.modules.__setitem__(name, None) for name in {extras}]; import arr_coc"

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("link", "target"), [("adapters", "../adapters"), ("eval", "../eval")])
def test_links_for_static_tools_stand(link: str, target: str) -> None:
    assert (ROOT / "arr_coc" / link).readlink() == Path(target)

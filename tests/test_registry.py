"""A registry says what it has, guesses what a typo meant, and files a name once."""

import sys
from pathlib import Path

import pytest

from arr_coc.registry import Registry

GROWN: Registry[str] = Registry("fruit", filled_by="orchard")


@pytest.fixture
def fruits() -> Registry[str]:
    registry: Registry[str] = Registry("fruit")
    registry.add("pear", "green")
    registry.add("apple", "red")
    return registry


def test_a_registry_is_a_mapping_in_alphabetical_order(fruits: Registry[str]) -> None:
    assert dict(fruits) == {"apple": "red", "pear": "green"}
    assert list(fruits) == ["apple", "pear"]
    assert "apple" in fruits
    assert "fig" not in fruits
    assert len(fruits) == 2


def test_a_typo_is_answered_with_a_guess_and_with_all_names(fruits: Registry[str]) -> None:
    with pytest.raises(KeyError, match=r"no fruit called 'aple'; did you mean 'apple'\? Known: apple, pear"):
        fruits["aple"]


def test_a_wild_name_is_answered_with_all_names(fruits: Registry[str]) -> None:
    with pytest.raises(KeyError, match=r"no fruit called 'xyzzy'\. Known: apple, pear"):
        fruits["xyzzy"]


def test_a_name_is_filed_once(fruits: Registry[str]) -> None:
    with pytest.raises(ValueError, match="a fruit called 'pear' already"):
        fruits.add("pear", "yellow")


def test_the_decorator_files_what_follows_and_hands_it_back() -> None:
    parts: Registry[type[object]] = Registry("part")

    @parts.register("screw")
    class Screw: ...

    assert parts["screw"] is Screw


def test_a_registry_asks_its_source_when_it_is_first_looked_into(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "orchard.py").write_text("from tests.test_registry import GROWN; GROWN.add('plum', 'blue')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "orchard", raising=False)

    assert "orchard" not in sys.modules
    assert dict(GROWN) == {"plum": "blue"}

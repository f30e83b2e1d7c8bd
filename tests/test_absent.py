"""A family whose packages are not installed is left out of the tests, and its row of the table stays."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from arr_coc.family import FAMILIES
from tests.laws.__main__ import main
from tests.runs import absent, tiny_model

MISSING = "'bert' needs no_such_package, which cannot be imported"


@pytest.fixture(autouse=True)
def _bert_needs_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES._parts, "bert", replace(FAMILIES["llava"], needs=("no_such_package",)))
    absent.cache_clear()


def test_a_family_is_skipped_with_the_package_that_it_needs() -> None:
    with pytest.raises(pytest.skip.Exception, match=MISSING):
        tiny_model("bert", "sdpa")


def test_a_package_that_breaks_while_it_is_imported_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_such_package.py").write_text("raise RuntimeError('operator nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)

    assert absent("bert") == f"{MISSING}: operator nms does not exist"


def test_a_package_that_is_there_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES._parts, "bert", replace(FAMILIES["llava"], needs=("json",)))

    assert absent("bert") == ""


def test_the_row_of_a_family_that_cannot_be_built_stays_in_the_table(tmp_path: Path) -> None:
    path = tmp_path / "families.json"
    row = {"model_type": "bert", "passes": True, "laws": {"rows": 1e-6}, "bfloat16": {}, "note": ""}
    path.write_text(json.dumps({"families": [row]}))

    main(path, ["bert"])

    assert json.loads(path.read_text())["families"] == [row]


def test_a_family_that_cannot_be_built_and_has_no_row_is_said_not_to_have_run(tmp_path: Path) -> None:
    path = tmp_path / "families.json"

    main(path, ["bert"])

    (row,) = json.loads(path.read_text())["families"]
    assert not row["passes"]
    assert MISSING in row["note"]

"""What is exported is every record with every field, in types that `datasets` loads again."""

from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from datasets import load_dataset

from arr_coc.eval.export import export
from arr_coc.eval.journal import journal
from arr_coc.eval.ranks import Rank
from arr_coc.eval.samples import Sample

ONE = Sample(
    id="test-0", picture="test-0", kind="attribute", task="scene_vqa", method="efe", budget=0.11,
    question="?", answer="red\u2028, \"<b>\"\n", gold="red", score=1.0, kept=63, visual=576, words=9,
    seconds=0.1, prefill_ms=1.0, select_ms=0.5, kv_bytes=1024.0,
)  # fmt: skip
SAMPLES = [
    ONE,
    replace(ONE, id="test-1", budget=64, error="model: oops", answer="", seconds=None),
    replace(ONE, id="test-2", method="fastv", kept=62.5, token_layers=125, by_layer=[100, 25]),
]


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """Left by two processes of which one is still at work."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("model: nano-llava\n")
    for rank, sample in enumerate(SAMPLES):
        with journal(tmp_path / "run", Rank(rank, 2)) as out:
            out.write([sample])
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["out.parquet", "folder"])
def test_every_record_and_type_is_there_again(evaluation: Path, tmp_path: Path, name: str) -> None:
    path = export(evaluation, tmp_path / name)

    source = ("parquet", str(path)) if name.endswith("parquet") else (str(tmp_path / name), None)
    split = "train" if name.endswith("parquet") else "test"
    rows = load_dataset(source[0], data_files=source[1], split=split, cache_dir=str(tmp_path / "cache"))

    assert rows.column_names == ["model", *(field.name for field in fields(Sample))]
    assert list(rows) == [
        {"model": "nano-llava"} | asdict(sample) | {"budget": str(sample.budget)} for sample in SAMPLES
    ]
    kinds = {name: getattr(feature, "dtype", "list") for name, feature in rows.features.items()}
    assert {name for name, kind in kinds.items() if kind == "int64"} == {"visual", "words", "token_layers"}
    assert {name for name, kind in kinds.items() if kind == "float64"} == {
        "score", "kept", "kv_bytes", "surprise", "seconds", "prefill_ms", "select_ms"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_other_programs_read_it_too(evaluation: Path, tmp_path: Path, name: str) -> None:
    path = export(evaluation, tmp_path / name)

    kind = "json" if name.endswith("jsonl") else "csv"
    rows = load_dataset(kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))

    assert [row["id"] for row in rows] == ["test-0", "test-1", "test-2"]
    assert rows[0]["answer"] == ONE.answer


def test_a_folder_without_samples_and_a_file_of_another_kind_are_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no samples in"):
        export(tmp_path, tmp_path / "out.parquet")
    with pytest.raises(ValueError, match=r"give a file of \.parquet"):
        export(tmp_path, tmp_path / "out.xlsx")

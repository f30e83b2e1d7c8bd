"""The samples of an evaluation as a table that `datasets`, pandas or a spreadsheet reads."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from io import BytesIO
from pathlib import Path
from typing import Any

from arr_coc.eval.atomic import write_bytes
from arr_coc.eval.extras import need
from arr_coc.eval.folder import read_yaml
from arr_coc.eval.journal import everything
from arr_coc.eval.samples import Sample

KINDS: dict[Any, str] = {
    str: "string", int: "int64", float: "float64", int | float: "float64", float | None: "float64",
    int | None: "int64",
}  # fmt: skip
"""What a field of a sample is in a table. A budget, which may be a count or a ratio, is its text: `0.11`."""
IN_A_FOLDER = "test-00000-of-00001.parquet"
"""So that `datasets.load_dataset(folder)` finds a split called test."""
WRITERS = {".parquet": "to_parquet", ".jsonl": "to_json", ".csv": "to_csv"}


def table(model: str, samples: Sequence[Sample]) -> Any:
    """A `datasets.Dataset` with a row a sample, all its fields, and which model answered."""
    need("datasets")
    import datasets

    kinds = {"model": "string"} | {field.name: KINDS.get(field.type, "string") for field in fields(Sample)}
    columns = {name: datasets.Value(kind) for name, kind in kinds.items()}
    features = datasets.Features(columns | {"by_layer": datasets.Sequence(datasets.Value("int64"))})
    rows = [{"model": model} | asdict(sample) | {"budget": str(sample.budget)} for sample in samples]
    return datasets.Dataset.from_list(rows, features=features)


def export(folder: Path, out: Path) -> Path:
    """Write what was answered in the folder of an evaluation to a .parquet, .jsonl or .csv file, or a folder.

    It need not be finished. Returns the file. Raises FileNotFoundError for a folder without samples,
    ValueError for another kind of file.
    """
    if out.suffix and out.suffix not in WRITERS:
        raise ValueError(f"cannot write {out}: give a file of {', '.join(WRITERS)}, or a folder")
    samples = everything(folder)
    if not samples:
        raise FileNotFoundError(f"no samples in {folder}: give the folder of an evaluation")
    path = out if out.suffix else out / IN_A_FOLDER
    content = BytesIO()
    written = table(str(read_yaml(folder / "config.yaml")["model"]), samples)
    getattr(written, WRITERS[path.suffix])(content)
    write_bytes(path, content.getvalue())
    return path

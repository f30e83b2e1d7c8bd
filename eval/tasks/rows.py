"""Rows of a benchmark: streamed from the hub, or read from a local folder or file of the same schema."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from arr_coc.eval.extras import need
from arr_coc.eval.tasks.tables import ENDINGS, Hub, inside, tables
from arr_coc.eval.untrusted import unopened

Row = dict[str, Any]
CONFIG = "config name"
"""Key that every row has beside its columns: which configuration of the data set it is from."""
NUMBER = "row number"
"""Another: its number in there, from 0, as text. For tables whose rows have no name."""
_GIVES = "the hub has none such, asks for a login (hf auth login), or cannot be reached: give a local folder"


def read(hub: Hub, data: str | None, split: str, columns: tuple[str, ...] = ()) -> Iterator[Row]:
    """Rows in their order, pictures as they are stored; with `columns`, at least those of them.

    A generator: what follows is raised at the first row.

    Raises ValueError for a file that is no table, FileNotFoundError where nothing can be read.
    """
    need("datasets")
    import datasets

    only = {"columns": list(columns)} if columns else {}
    for config, files in tables(hub, data, split):
        loaded = _from_files(files, only) if files else _from_hub(hub, data, config, split, only)
        try:
            # A table of text has no pictures to leave packed.
            packed = loaded.decode(False) if loaded.features else loaded
            for number, row in enumerate(packed):
                yield {**row, CONFIG: config, NUMBER: f"{number:06d}"}
        except (ValueError, datasets.exceptions.DatasetGenerationError) as error:
            raise _unreadable(data or hub.repo, error) from error


def count(hub: Hub, data: str | None, split: str) -> int:
    """How many rows that is, without reading them all. Raises as `read` does."""
    need("datasets")
    total = 0
    for config, files in tables(hub, data, split):
        total += sum(map(_rows_in, files)) if files else _rows_on_hub(hub, data, config, split)
    return total


def _rows_in(path: Path) -> int:
    try:
        if path.suffix == ".parquet":
            parquet: Any = import_module("pyarrow.parquet")
            return int(parquet.ParquetFile(path).metadata.num_rows)
        if path.suffix == ".json":
            return len(json.loads(path.read_text(encoding="utf-8")))
        with path.open(encoding="utf-8") as file:
            return sum(bool(line.strip()) for line in file)
    except ValueError as error:  # also what pyarrow raises
        raise _unreadable(path, error) from error


def _unreadable(name: Path | str, error: Exception) -> ValueError:
    return ValueError(f"{name} cannot be read as a table ({_first_line(error)}): download or write it again")


def picture(value: Any, data: str | None) -> Image.Image:
    """A picture of a row: bytes of a file, or a path inside the folder of the data; decoded when it is used.

    Raises ValueError where there is none, or it cannot be used; FileNotFoundError for a path to nothing.
    """
    file = _file(value, data)
    return unopened(file, file if isinstance(file, Path) else value.get("path") or "the picture")


def content(value: Any, data: str | None) -> bytes:
    """The file of a picture, as it is stored."""
    file = _file(value, data)
    return file.read_bytes() if isinstance(file, Path) else file


def _file(value: Any, data: str | None) -> Path | bytes:
    if isinstance(value, dict) and value.get("bytes"):
        return bytes(value["bytes"])
    name = value.get("path") if isinstance(value, dict) else value
    if not name:
        raise ValueError("no picture is given")
    return inside(data, str(name))


def _from_files(files: list[Path], only: dict[str, Any]) -> Any:
    import datasets

    kind = ENDINGS[files[0].suffix]
    names = [str(path) for path in files]
    only = only if kind == "parquet" else {}
    try:
        return datasets.load_dataset(kind, data_files=names, split="train", streaming=True, **only)
    except (ValueError, datasets.exceptions.DatasetGenerationError) as error:
        raise _unreadable(files[0], error) from error


def _from_hub(hub: Hub, data: str | None, config: str | None, split: str, only: dict[str, Any]) -> Any:
    import datasets

    repo = _repo(hub, data)
    try:
        return datasets.load_dataset(repo, config, split=split, streaming=True, **only)
    except OSError as error:
        raise FileNotFoundError(f"cannot load {repo}: {_GIVES} ({_first_line(error)})") from error


def _rows_on_hub(hub: Hub, data: str | None, config: str | None, split: str) -> int:
    import datasets

    repo = _repo(hub, data)
    try:
        splits = datasets.load_dataset_builder(repo, config).info.splits or {}
    except OSError as error:
        raise FileNotFoundError(f"cannot load {repo}: {_GIVES} ({_first_line(error)})") from error
    if split not in splits:  # the data set does not say: read it
        return sum(1 for _ in _from_hub(hub, data, config, split, {}))
    return int(splits[split].num_examples)


def _repo(hub: Hub, data: str | None) -> str:
    repo = data or hub.repo
    if not repo:
        raise FileNotFoundError(
            "the hub has no copy of these rows: give a folder or file of the task's schema"
        )
    return repo


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

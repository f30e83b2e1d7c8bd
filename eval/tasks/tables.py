"""Where the tables of a benchmark lie: on the hub, or in a local folder or file of the same schema."""

from dataclasses import dataclass
from pathlib import Path

ENDINGS = {".parquet": "parquet", ".jsonl": "json", ".json": "json"}
"""Kinds of file, and what `datasets` calls them."""


@dataclass(frozen=True)
class Hub:
    """A data set on the Hugging Face hub."""

    repo: str
    """Owner and name; empty where the hub has no copy that can be read without running its code."""
    splits: tuple[str, ...]
    """Those that have answers; the one that papers report first."""
    configs: tuple[str | None, ...] = (None,)
    """Configurations that make up the benchmark, in order."""


def local(data: str | None) -> Path | None:
    """The folder or file that is meant; None for the hub.

    Raises FileNotFoundError for what is neither there nor looks like the name of a copy on the hub.
    """
    if data is None or (data.count("/") == 1 and not Path(data).exists() and not data.startswith((".", "/"))):
        return None
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(f"no data at {data}: give a folder, a .parquet or .jsonl file, or owner/name")
    return path


def inside(data: str | None, name: str) -> Path:
    """A file beside the data. Raises ValueError for a name that leads out of its folder."""
    place = home(data)
    path = (place / name).resolve()
    if not path.is_relative_to(place):
        raise ValueError(f"{name} leads out of {place}: pictures must lie in the folder of the data")
    return path


def home(data: str | None) -> Path:
    """The folder that files of the data lie in. Raises FileNotFoundError for data on the hub."""
    place = local(data)
    if place is None:
        raise FileNotFoundError(
            "the hub has these files packed: download and unpack them, and give their folder"
        )
    return (place if place.is_dir() else place.parent).resolve()


def tables(hub: Hub, data: str | None, split: str) -> list[tuple[str | None, list[Path]]]:
    """Each configuration with its files on this machine; without files, it is on the hub.

    A folder may hold some of the configurations only, or one table that is not named by any.
    """
    place = local(data)
    if place is None:
        return [(config, []) for config in hub.configs]
    if place.is_file():
        if place.suffix not in ENDINGS:
            raise ValueError(f"{place} is no table: give one of {', '.join(ENDINGS)}, or a folder of them")
        return [(place.stem, [place])]
    found: list[Path] = []
    for ending in ENDINGS:  # one kind of file: the same rows may lie there twice
        found = found or sorted(path.relative_to(place) for path in place.rglob(f"*{ending}"))
    named = [path for path in found if _split_of(path, hub) is not None]
    found = [path for path in named if _split_of(path, hub) == split] if named else found
    if not found:
        known = ", ".join(hub.splits)
        raise FileNotFoundError(f"{place} has no table of the split {split!r} (known: {known}) in it")
    parts = {config: [path for path in found if config in (*path.parts, path.stem)] for config in hub.configs}
    chosen = {config: paths for config, paths in parts.items() if paths} or {None: found}
    return [(config, [place / path for path in paths]) for config, paths in chosen.items()]


def _split_of(path: Path, hub: Hub) -> str | None:
    """`val-00000-of-00001.parquet`, `val.jsonl` and `val/0000.parquet` are of the split `val`."""
    words = (path.stem.split("-")[0], *path.parent.parts)
    return next((word for word in words if word in (*hub.splits, "train", "test", "validation")), None)

"""The folder of an evaluation: whose it is, what is in it already, and that nothing else is mixed in."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml  # type: ignore[import-untyped]

from arr_coc.eval.atomic import write_text
from arr_coc.eval.config import RunConfig

MADE_WITH = ("weights", "version")
"""Keys of config.yaml that are no settings: which weights answered, and which arr-coc asked."""
FREE = ("out", "name", "examples")
"""Keys that may differ in a run that goes on: where it is, and what is drawn when it is done."""
WRITTEN = (
    "config.yaml", "samples.jsonl", "samples.*.jsonl", "timings.jsonl", "timings.*.jsonl", "results.json",
    "report.html", "report.md", "accuracy_vs_tokens.png", "kept_*.png",
)  # fmt: skip
"""What an evaluation leaves in its folder."""


def claim(config: RunConfig, weights: str) -> Path:
    """Make the folder, or take it up again where the same evaluation was interrupted.

    Raises ValueError if another evaluation is in it, naming the key that differs and the way out.
    """
    folder = config.folder
    record = folder / "config.yaml"
    ours = config.plain() | {"weights": weights, "version": _version()}
    if record.exists():
        _refuse_another(folder, read_yaml(record), ours)
        return folder
    if (folder / "samples.jsonl").exists():
        raise ValueError(f"{folder} holds samples but no config.yaml: choose another --out, or add --fresh")
    write_text(record, yaml.safe_dump(ours, sort_keys=False, allow_unicode=True))
    return folder


def clear(folder: Path) -> None:
    """Forget what an evaluation has done so far; files that are not an evaluation's stay."""
    for pattern in WRITTEN:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def prepare(folder: Path) -> None:
    """Make the folder. Raises OSError that says so if it cannot be written, before a model is loaded."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".writable."):
            pass
    except OSError as error:
        raise OSError(
            f"cannot write into {folder} ({error.strerror}): choose another --out, or make it writable"
        ) from error


def _refuse_another(folder: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    theirs = RunConfig().plain() | theirs  # a setting that was not there yet had its default
    for key in [*ours, *theirs]:
        if key in FREE or theirs.get(key) == ours.get(key):
            continue
        raise ValueError(
            f"{folder} holds an evaluation with {key}: {theirs.get(key)}, this one has {ours.get(key)}. "
            "Choose another --out, or add --fresh to start over in this one"
        )


def settings_from(path: Path) -> dict[str, Any]:
    """Settings from a file, such as the config.yaml of another run. Raises ValueError naming a wrong key."""
    given = {key: value for key, value in read_yaml(path).items() if key not in MADE_WITH}
    defaults = RunConfig().plain()
    settings = {}
    for key, value in given.items():
        if key not in defaults:
            raise ValueError(f"{path} has the unknown key {key!r}; known: {', '.join(defaults)}")
        kind = type(defaults[key])
        fits = value is None or isinstance(value, str) if key == "data" else type(value) is kind
        if not fits and not (key == "limit" and value is None):
            raise ValueError(f"{path}: {key} must be of the kind of {defaults[key]!r}, got {value!r}")
        settings[key] = tuple(value) if kind is list else value
    return settings


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, read with the safe loader: no tag in it can run anything."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable as YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} must hold `key: value` lines, got {type(settings).__name__}")
    return settings


def _version() -> str:
    try:
        return version("arr-coc")
    except PackageNotFoundError:
        return "source"

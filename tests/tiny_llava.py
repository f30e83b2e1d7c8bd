"""A folder with a tiny random LLaVA for the whole session."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from arr_coc.eval.bench import small_llava

_FOLDER = TemporaryDirectory(prefix="arr-coc-tiny-")


@cache
def folder() -> Path:
    """Written once a session, gone after it."""
    return small_llava.save(Path(_FOLDER.name))

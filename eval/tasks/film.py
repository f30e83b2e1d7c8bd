"""Films: found in the folder of the data, and shown as frames evenly spaced in time."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

from arr_coc.eval.extras import need
from arr_coc.eval.nano.drawn import Drawn
from arr_coc.eval.untrusted import check_size, unopened

DRAWN = (".gif", ".webp", ".png")
"""Moving pictures, which Pillow reads."""
_MOVING = ("GIF", "WEBP", "PNG")
FILMED = (".mp4", ".mkv", ".webm", ".avi", ".mov")
"""Read with PyAV."""
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def find(home: Path, name: str, within: str = "") -> Path:
    """A film of that name, with or without its ending, or a folder of frames; best one in a folder `within`.

    Raises FileNotFoundError where there is none.
    """
    found = _index(home).get(name.rstrip("/"), [])
    best = [path for path in found if within in path.relative_to(home).parts] or found
    if not best:
        raise FileNotFoundError(f"no film called {name} in {home}: unpack the films of the benchmark there")
    return best[0]


@cache
def _index(home: Path) -> dict[str, list[Path]]:
    """Every film and folder, by name and by name without ending."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(home.rglob("*")):
        if path.is_dir():
            found[path.name].append(path)
        elif path.suffix.lower() in (*DRAWN, *FILMED):
            found[path.name].append(path)
            found[path.stem].append(path)
    return dict(found)


def frames(path: Path, n: int) -> list[Image.Image]:
    """`n` frames, the middle ones of as many equal parts; fewer of a film that has fewer.

    They are decoded when one of them is looked at. Raises ValueError for what is no film,
    ModuleNotFoundError without PyAV where it is needed.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
        if not files:
            raise ValueError(f"{path} holds no frames")
        return [unopened(files[at], files[at]) for at in middles(len(files), n)]
    return _drawn(path, n) if path.suffix.lower() in DRAWN else _filmed(path, n)


def middles(total: int, n: int) -> list[int]:
    """Middles of `n` equal parts of so many frames; each frame at most once."""
    n = min(n, total)
    return [(2 * part + 1) * total // (2 * n) for part in range(n)]


def check_frames(n: int) -> None:
    """Raises ValueError for a film of which nothing is shown."""
    if n < 1:
        raise ValueError(f"n_frames must be at least 1, got {n}: give a positive number of frames")


def _later(n: int, size: tuple[int, int], decode: Callable[[], list[Image.Image]]) -> list[Image.Image]:
    """Frames that are all decoded when the first one is looked at."""
    film = cache(decode)

    def frame(at: int) -> Image.Image:
        found = film()
        return found[min(at, len(found) - 1)]  # a film may end before it says it does

    return [Drawn(size, partial(frame, at)) for at in range(n)]


def _drawn(path: Path, n: int) -> list[Image.Image]:
    unopened(path, path)  # refuses what is none, or too large
    with Image.open(path, formats=_MOVING) as film:
        wanted = middles(getattr(film, "n_frames", 1), n)
        return _later(len(wanted), film.size, partial(_decoded_drawing, path, set(wanted)))


def _decoded_drawing(path: Path, wanted: set[int]) -> list[Image.Image]:
    with Image.open(path, formats=_MOVING) as film:
        return [frame.convert("RGB") for at, frame in enumerate(ImageSequence.Iterator(film)) if at in wanted]


def _filmed(path: Path, n: int) -> list[Image.Image]:
    with _container(path) as container:
        stream = container.streams.video[0]
        check_size(path, stream.width, stream.height)
        return _later(n, (stream.width, stream.height), partial(_decoded_film, path, n))


def _decoded_film(path: Path, n: int) -> list[Image.Image]:
    """By time, not by count: a container need not say how many frames it has."""
    with _container(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        length = float(stream.duration * stream.time_base) if stream.duration else _length(container)
        found = []
        for part in range(n):
            wanted = (2 * part + 1) * length / (2 * n)
            container.seek(int(wanted / stream.time_base), stream=stream)  # to a key frame before it
            frame = None
            for frame in container.decode(stream):
                if frame.time + 1e-6 >= wanted:
                    break
            if frame is not None:
                found.append(frame.to_image())
        if not found:
            raise ValueError(f"{path} holds no frames")
        return found


@contextmanager
def _container(path: Path) -> Iterator[Any]:
    need("av")
    av: Any = import_module("av")
    try:
        with av.open(str(path)) as container:
            yield container
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"{path} is not a film that can be read ({error})") from error


def _length(container: Any) -> float:
    """Seconds, where the stream does not say."""
    return float(container.duration or 0) / 1e6

"""Open a picture that somebody brought, without trusting it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from arr_coc.eval.nano.drawn import Drawn

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats that Pillow decodes by itself: no PostScript, no helper programs."""
MOST_BYTES = 64 * 2**20
MOST_PIXELS = 64 * 10**6
MOST_ASPECT = 100
"""A longer strip would be blown up when its short side is resized."""


def open_picture(path: Path) -> Image.Image:
    """The first frame as RGB, turned upright. The header is checked before a pixel is decoded.

    Raises FileNotFoundError where there is no file, ValueError for what is no picture or too large a one.
    """
    picture = unopened(path, path)
    picture.load()
    return picture


def unopened(file: Path | bytes, name: Path | str) -> Image.Image:
    """The same, from a path or the content of a file, decoded when somebody looks at it.

    `name` is what an error calls it. What the header does not tell, such as damage, is raised by load().
    """
    if isinstance(file, Path) and not file.is_file():
        raise FileNotFoundError(f"no picture at {name}")
    _check_bytes(name, len(file) if isinstance(file, bytes) else file.stat().st_size)
    with _refused(name), _opened(file) as header:
        check_size(name, header.width, header.height)
        # Pillow would decode a PNG to tell how it lies: there, the size is put right when it is opened.
        on_its_side = header.format != "PNG" and header.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        size = header.size[::-1] if on_its_side else header.size
    return Drawn(size, partial(_decoded, file, name))


def _decoded(file: Path | bytes, name: Path | str) -> Image.Image:
    with _refused(name):
        with _opened(file) as header:
            header.verify()
        with _opened(file) as picture:  # verify() leaves one that cannot be used
            return ImageOps.exif_transpose(picture).convert("RGB")


def _opened(file: Path | bytes) -> Image.Image:
    return Image.open(BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS)


@contextmanager
def _refused(name: Path | str) -> Iterator[None]:
    """What Pillow raises, as ValueError in one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{name} unpacks to too many pixels: give a smaller copy") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is not a picture: give one of {', '.join(FORMATS)}") from error
    except (OSError, SyntaxError, EOFError) as error:  # what Pillow raises for a damaged file
        raise ValueError(f"{name} is damaged ({error}): save it again") from error


def _check_bytes(name: Path | str, size: int) -> None:
    if size > MOST_BYTES:
        raise ValueError(f"{name} is larger than {MOST_BYTES >> 20} MiB: give a smaller copy")


def check_size(name: Path | str, width: int, height: int) -> None:
    """Raises ValueError for more pixels than `MOST_PIXELS`, and for a strip."""
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"{name} has {width} x {height} pixels, more than {MOST_PIXELS:,}: give a smaller copy"
        )
    if max(width, height) > MOST_ASPECT * min(width, height):
        raise ValueError(f"{name} is a strip of {width} x {height} pixels: cut it into pictures")

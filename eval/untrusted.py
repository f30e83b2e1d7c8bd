"""Open a picture that somebody brought, without trusting it."""

import warnings
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

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
    if not path.is_file():
        raise FileNotFoundError(f"no picture at {path}")
    _check_bytes(path, path.stat().st_size)
    return _decoded(path, path)


def picture_in(content: bytes, name: str) -> Image.Image:
    """The same from the bytes of a file; `name` is what an error calls it."""
    _check_bytes(name, len(content))
    return _decoded(BytesIO(content), name)


def _decoded(file: Path | BytesIO, name: Path | str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as header:
                check_size(name, header.width, header.height)
                header.verify()
            # verify() leaves a picture that cannot be used.
            if isinstance(file, BytesIO):
                file.seek(0)
            with Image.open(file, formats=FORMATS) as picture:
                return ImageOps.exif_transpose(picture).convert("RGB")
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

"""Pictures that somebody brought: opened if they are harmless, refused in one sentence if not."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from arr_coc.eval.untrusted import MOST_BYTES, open_picture, unopened


def png_that_claims(path: Path, width: int, height: int) -> Path:
    """A header of some hundred bytes that promises that many pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = [
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (head, body, b"IEND")
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


@pytest.mark.parametrize("side", [9_000, 10_000, 30_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, side: int) -> None:
    with pytest.raises(ValueError, match=r"pixels.*smaller copy"):
        open_picture(png_that_claims(tmp_path / "bomb.png", side, side))


def test_a_bomb_in_a_table_is_refused_and_a_picture_in_one_is_what_its_file_is(tmp_path: Path) -> None:
    bomb = png_that_claims(tmp_path / "bomb.png", 30_000, 30_000).read_bytes()
    Image.effect_noise((8, 6), 50).save(tmp_path / "noise.png")

    with pytest.raises(ValueError, match=r"row 7 unpacks to too many pixels|row 7 has 30000 x 30000 pixels"):
        unopened(bomb, "row 7")
    with pytest.raises(ValueError, match="row 8 is larger than 64 MiB"):
        unopened(bytes(MOST_BYTES + 1), "row 8")
    assert unopened((tmp_path / "noise.png").read_bytes(), "row 9") == open_picture(tmp_path / "noise.png")


def test_a_strip_that_resizing_would_blow_up_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (2_000, 4)).save(tmp_path / "strip.png")

    with pytest.raises(ValueError, match="strip"):
        open_picture(tmp_path / "strip.png")


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")

    with pytest.raises(ValueError, match="is not a picture: give one of PNG"):
        open_picture(tmp_path / "notes.png")


def test_a_torn_picture_is_refused(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 50).save(tmp_path / "torn.jpg")
    (tmp_path / "torn.jpg").write_bytes((tmp_path / "torn.jpg").read_bytes()[:-300])

    with pytest.raises(ValueError, match="is damaged"):
        open_picture(tmp_path / "torn.jpg")


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no picture at .*gone\.png"):
        open_picture(tmp_path / "gone.png")


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK", "1", "I;16"])
def test_any_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (8, 6)).save(tmp_path / "any.tiff")

    assert open_picture(tmp_path / "any.tiff").mode == "RGB"


def test_a_picture_that_lies_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 6))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "side.jpg", exif=exif)

    assert open_picture(tmp_path / "side.jpg").size == (6, 8)

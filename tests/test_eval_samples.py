"""The record survives a kill, and holds no item twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from arr_coc.eval.samples import Sample, read, repair, writer

ONE = Sample(
    id="test-0", picture="test-0", kind="attribute", task="scene_vqa", method="efe", budget=0.11,
    question="?", answer="red\u2028 \x85 <b>", gold="red", score=1.0, kept=63, visual=576, words=9,
    seconds=0.1, prefill_ms=1.0, select_ms=0.5, kv_bytes=1024.0,
)  # fmt: skip
TWO = replace(ONE, id="test-1", budget=64)


def write(path: Path, *samples: Sample) -> None:
    with writer(path) as out:
        out.write(samples)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write(tmp_path / "s.jsonl", ONE, TWO)

    assert read(tmp_path / "s.jsonl") == [ONE, TWO]


@pytest.mark.parametrize("cut", [1, 2, 30, 200])
def test_a_half_written_last_line_is_cut_off_and_writing_goes_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "s.jsonl"
    write(path, ONE, TWO)
    path.write_bytes(path.read_bytes()[:-cut])

    assert repair(path) == [ONE]
    write(path, TWO)
    assert read(path) == [ONE, TWO]


def test_a_last_line_of_zeros_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    write(path, ONE)
    path.write_bytes(path.read_bytes() + b"\0" * 40 + b"\n")

    assert repair(path) == [ONE]


def test_no_file_is_no_samples(tmp_path: Path) -> None:
    assert repair(tmp_path / "s.jsonl") == []


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    write(path, ONE)
    path.write_bytes(b"{broken\n" + path.read_bytes())

    with pytest.raises(ValueError, match="line 1 is not a sample: delete that line"):
        repair(path)


def test_an_item_that_is_there_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    write(path, ONE, TWO, ONE)

    with pytest.raises(ValueError, match="line 3 is there twice"):
        repair(path)


def test_two_cannot_write_into_one_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no file locks")

    with writer(tmp_path / "s.jsonl"), pytest.raises(ValueError, match="another process is writing"):
        write(tmp_path / "s.jsonl", ONE)

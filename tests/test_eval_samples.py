"""The record survives a kill, and holds no item twice."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from arr_coc.eval.checked import append, dumped, parsed
from arr_coc.eval.journal import everything, journal
from arr_coc.eval.ranks import Rank
from arr_coc.eval.samples import Sample, read

ONE = Sample(
    id="test-0", picture="test-0", kind="attribute", task="scene_vqa", method="efe", budget=0.11,
    question="?", answer="red\u2028 \x85 <b>", gold="red", score=1.0, kept=63, visual=576, words=9,
    seconds=0.1, prefill_ms=1.0, select_ms=0.5, kv_bytes=1024.0,
)  # fmt: skip
TWO = replace(ONE, id="test-1", budget=64)
ALONE = Rank()


def write(folder: Path, *samples: Sample, rank: Rank = ALONE) -> None:
    with journal(folder, rank) as out:
        out.write(samples)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, ONE, TWO)

    assert read(tmp_path / "samples.jsonl") == [ONE, TWO]


def test_the_records_of_two_runs_are_the_same_bytes_however_long_they_took(tmp_path: Path) -> None:
    for name, seconds in (("a", 0.1), ("b", 7.0)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, replace(ONE, seconds=seconds))

    a, b = ((tmp_path / name / "samples.jsonl").read_bytes() for name in "ab")
    assert a == b


def test_any_changed_byte_of_a_line_is_noticed() -> None:
    line = dumped(ONE.record)[:-1]

    assert parsed(line) == ONE.record
    for i in range(len(line)):
        assert parsed(line[:i] + bytes([line[i] ^ 1]) + line[i + 1 :]) is None


@pytest.mark.parametrize("cut", [1, 2, 30, 200])
def test_a_half_written_last_line_is_cut_off_and_writing_goes_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "samples.jsonl"
    write(tmp_path, ONE, TWO)
    path.write_bytes(path.read_bytes()[:-cut])

    assert everything(tmp_path) == [ONE]
    write(tmp_path, TWO)
    assert read(path) == [ONE, TWO]


def test_a_last_line_of_zeros_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    write(tmp_path, ONE)
    path.write_bytes(path.read_bytes() + b"\0" * 40 + b"\n")

    write(tmp_path, TWO)

    assert read(path) == [ONE, TWO]


def test_no_file_is_no_samples(tmp_path: Path) -> None:
    assert everything(tmp_path) == []


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    write(tmp_path, ONE)
    path.write_bytes(b"{broken\n" + path.read_bytes())

    with pytest.raises(ValueError, match="line 1 is damaged: delete that line"):
        everything(tmp_path)


def test_an_item_that_is_there_twice_is_named(tmp_path: Path) -> None:
    write(tmp_path, ONE, TWO, ONE)

    with pytest.raises(ValueError, match="line 3 is there twice"):
        everything(tmp_path)


def test_an_answer_stands_in_for_the_failure_before_it(tmp_path: Path) -> None:
    with journal(tmp_path, ALONE) as out:
        out.write([replace(ONE, error="model: oops", answer="", score=0.0), TWO])
        out.write([ONE])
        merged = out.merged()

    assert merged is not None
    assert sorted(merged, key=lambda s: s.id) == [ONE, TWO]
    assert len((tmp_path / "samples.jsonl").read_text().split("\n")) == 3


def test_times_of_an_answer_that_was_not_written_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    write(tmp_path, ONE, replace(TWO, seconds=9.0))
    path.write_bytes(path.read_bytes()[:-1])  # killed between the two files

    write(tmp_path, replace(TWO, seconds=2.0))

    assert [s.seconds for s in read(path)] == [0.1, 2.0]


@pytest.mark.parametrize(("first", "second"), [(ALONE, ALONE), (ALONE, Rank(1, 2)), (Rank(0, 2), ALONE)])
def test_two_runs_cannot_write_into_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Rank, second: Rank
) -> None:
    pytest.importorskip("fcntl", reason="this system has no file locks")
    monkeypatch.setattr("arr_coc.eval.journal.PATIENCE", 0.0)

    with journal(tmp_path, first), pytest.raises(ValueError, match="another process is writing"):
        write(tmp_path, ONE, rank=second)


def test_the_last_of_several_processes_makes_one_file(tmp_path: Path) -> None:
    with journal(tmp_path, Rank(0, 2)) as first:
        first.write([ONE])
        with journal(tmp_path, Rank(1, 2)) as second:
            second.write([TWO])
            early = second.merged()
        whole = first.merged()

    assert early is None
    assert whole == [ONE, TWO] == read(tmp_path / "samples.jsonl")
    assert {p.name for p in tmp_path.iterdir()} == {".lock", "samples.jsonl", "timings.jsonl"}


def test_samples_that_a_kill_left_in_two_files_are_one(tmp_path: Path) -> None:
    write(tmp_path, ONE, rank=Rank(0, 2))
    write(tmp_path, ONE, TWO)

    assert everything(tmp_path) == [ONE, TWO]


def test_a_full_disk_leaves_whole_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """Takes some bytes, then none."""

        def __init__(self, file: object) -> None:
            self.file, self.room = file, 25

        def fileno(self) -> int:
            return self.file.fileno()  # type: ignore[attr-defined, no-any-return]

        def write(self, content: bytes) -> int:
            if not self.room:
                raise OSError(28, "No space left on device")
            written: int = self.file.write(content[: self.room])  # type: ignore[attr-defined]
            self.room -= written
            return written

    with journal(tmp_path, ALONE) as out:
        out.write([ONE])
        full = replace(out, _samples=Full(out._samples))
        with pytest.raises(OSError, match=r"No space left on device.*run the same command again"):
            full.write([TWO])
        size = os.path.getsize(tmp_path / "samples.jsonl")

    assert size == len(dumped(ONE.record))
    write(tmp_path, TWO)
    assert read(tmp_path / "samples.jsonl") == [ONE, TWO]


def test_a_file_takes_all_of_a_long_write(tmp_path: Path) -> None:
    class Slow:
        """Writes three bytes at a time, as a pipe or a network folder may."""

        def __init__(self, file: object) -> None:
            self.file = file

        def fileno(self) -> int:
            return self.file.fileno()  # type: ignore[attr-defined, no-any-return]

        def write(self, content: bytes) -> int:
            return self.file.write(content[:3])  # type: ignore[attr-defined, no-any-return]

    with (tmp_path / "f").open("ab", buffering=0) as file:
        append(Slow(file), [b"0123456789\n"])

    assert (tmp_path / "f").read_bytes() == b"0123456789\n"

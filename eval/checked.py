"""Lines of JSON that know whether they are whole: a checksum ends each, and a torn last line is cut off."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

_MARK = b', "check": "'
_TAIL = len(_MARK) + 8 + len(b'"}')
"""Bytes of the checksum at the end of a line: CRC-32 of what stands before it, in hexadecimal."""


def dumped(record: dict[str, Any]) -> bytes:
    """One line with its checksum. The same record always gives the same bytes."""
    body = json.dumps(record, ensure_ascii=False, allow_nan=False).encode()[:-1]
    return body + _MARK + b'%08x"}\n' % crc32(body)


def parsed(line: bytes) -> dict[str, Any] | None:
    """The record of a line without its newline; None if a byte of it is not what was written."""
    body, tail = line[:-_TAIL], line[-_TAIL:]
    if tail != _MARK + b'%08x"}' % crc32(body):
        return None
    record: dict[str, Any] = json.loads(body + b"}")
    return record


def records(path: Path) -> list[dict[str, Any]]:
    """Every record of a file; what stands behind the last newline is still being written, and is left out.

    Raises ValueError naming a damaged line that is not the last one.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    found = [parsed(line) for line in lines]
    if found and found[-1] is None:
        found.pop()  # a disk that filled up, or lost its last page
    for number, record in enumerate(found, start=1):
        if record is None:
            raise ValueError(
                f"{path}, line {number} is damaged: delete that line, and the same command fills the gap"
            )
    return [record for record in found if record is not None]


def repair(path: Path) -> None:
    """Cut off a last line that a kill left half written."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    last = whole[whole.rfind(b"\n", 0, -1) + 1 : -1]
    if whole and parsed(last) is None:
        whole = whole[: -len(last) - 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
            os.fsync(file.fileno())


def append(file: Any, lines: Iterable[bytes]) -> None:
    """Write behind the end of an unbuffered file and wait for the disk.

    Raises OSError where the disk is full; the file then ends where it ended before.
    """
    end, content = os.fstat(file.fileno()).st_size, b"".join(lines)
    try:
        while content:
            content = content[file.write(content) :]
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), end)
        raise

"""Journal: an append-only file of checksummed records, each on disk before it is acknowledged.

A record is one line: the CRC-32 of its text (8 hex digits), the text's length, the text (JSON).
A crash leaves the beginning of a record at the end of the file: readers ignore it and the writer
cuts it off. Anything else that is no record is damage: readers refuse it. The writer goes on where
nothing good follows the damage, which may be what a power cut left of a record that nobody was
told of; it keeps a copy of what it cuts off, and says so.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import disk
from results.errors import RunError

_HEADER = re.compile(rb"([0-9a-f]{8}) ([0-9]{1,12}) ")
_HEADER_BEGUN = re.compile(rb"[0-9a-f]{0,8}|[0-9a-f]{8} [0-9]{0,12}")


def encode(record: Mapping[str, Any]) -> bytes:
    """The record as one line, newline included."""
    text = json.dumps(record, allow_nan=False, separators=(",", ":")).encode()
    return b"%08x %d %s\n" % (zlib.crc32(text), len(text), text)


def decode(line: bytes) -> dict[str, Any] | None:
    """The record of one line without its newline, or None where the line is damaged."""
    checksum, _, rest = line.partition(b" ")
    length, _, text = rest.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text) or length != b"%d" % len(text):
        return None
    return json.loads(text)


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What a journal holds: records, the bytes they take, and what follows them."""

    records: list[dict[str, Any]]
    good_bytes: int
    rest: bytes
    damaged: int | None = None  # the number of the first record that is damage, from 1
    good_after: bool = False  # whether records follow the damage

    def refuse_damage(self, path: Path) -> None:
        """RunError where more than the beginning of a record follows the good ones."""
        if self.damaged is None:
            return
        last = "and good ones follow it" if self.good_after else "the last one"
        raise RunError(
            f"{path}: record {self.damaged} is damaged, {last}; attnas doctor {path.parents[1]} "
            "sets it aside and keeps all others"
        )


def parse_journal(data: bytes) -> JournalContent:
    """The records up to the first that is none."""
    *lines, tail = data.split(b"\n")
    records: list[dict[str, Any]] = []
    good = 0
    for number, line in enumerate(lines):
        record = decode(line)
        if record is None:
            after = any(decode(later) is not None for later in lines[number + 1 :])
            return JournalContent(records, good, data[good:], number + 1, after)
        records.append(record)
        good += len(line) + 1
    damaged = None if _is_begun(tail) else len(lines) + 1
    return JournalContent(records, good, data[good:], damaged)


def salvage(data: bytes) -> list[dict[str, Any]]:
    """Every whole record of a damaged journal, wherever it is."""
    return [record for line in data.split(b"\n") if (record := decode(line)) is not None]


def _is_begun(tail: bytes) -> bool:
    """Whether bytes without a newline are the beginning of a record, or of one and then zeros.

    Zeros are what some file systems show where a file grew and its content was lost.
    """
    tail = tail.rstrip(b"\0")
    header = _HEADER.match(tail)
    if header is None:
        return _HEADER_BEGUN.fullmatch(tail) is not None
    checksum, length, text = header[1], int(header[2]), tail[header.end() :]
    return len(text) < length or (len(text) == length and checksum == b"%08x" % zlib.crc32(text))


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The records of a journal, also while it is written; RunError where it is damaged."""
    content = parse_journal(disk.read(path))
    content.refuse_damage(path)
    return content.records


class Journal:
    """A journal open for appending, by one process at a time."""

    def __init__(self, path: Path, size: int) -> None:
        """`size`: bytes of the records there; what follows them is cut off."""
        self.size = size  # bytes that are acknowledged
        self._file = disk.File(path)
        try:
            self._file.truncate(size)
            # Also without a tail: a record whose flush failed was kept by the page cache only.
            self._file.flush()
        except BaseException:
            self._file.close()
            raise

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record; it is on disk when this returns. After an error, write a new file."""
        data = encode(record)
        self._file.write(data)
        self._file.flush()
        self.size += len(data)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._file.close()

"""Journal: an append-only file of checksummed records, each on disk before it is acknowledged.

A record is one line: the CRC-32 of its text (8 hex digits), the text's length, the text (JSON).
A bad record at the very end is a write that a crash cut short: readers ignore it and the writer
truncates it. A bad record with good ones after it is damage, and is refused.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results.errors import RunError


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


def read_journal(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The records of a journal, and the bytes they take: what follows is a torn tail."""
    *lines, _torn = path.read_bytes().split(b"\n")
    records: list[dict[str, Any]] = []
    good_bytes = 0
    for number, line in enumerate(lines):
        record = decode(line)
        if record is None:
            if any(decode(later) is not None for later in lines[number + 1 :]):
                raise RunError(
                    f"{path}: record {number + 1} is damaged and good ones follow it; restore "
                    "the file from a backup, or delete that line to go on without it"
                )
            break
        records.append(record)
        good_bytes += len(line) + 1
    return records, good_bytes


def repair_journal(path: Path) -> list[dict[str, Any]]:
    """The records of a journal, its torn tail cut off, all of it on disk."""
    records, good_bytes = read_journal(path)
    with open(path, "r+b") as file:
        file.truncate(good_bytes)
        # Also without a tail: a record whose flush failed was kept by the page cache only.
        os.fsync(file.fileno())
    return records


class Journal:
    """A journal open for appending, by one process at a time."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_APPEND)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record; it is on disk when this returns."""
        assert self._descriptor is not None, "the journal is closed"
        data = memoryview(encode(record))
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

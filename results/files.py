"""Files that survive a crash: written beside, flushed, renamed, and the folder flushed too."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from results import disk


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that at any instant the old or the new content is there, whole."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        file = disk.File(temporary, new=True)
        try:
            file.write(data)
            file.flush()
        finally:
            file.close()
        disk.rename(temporary, path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell of
            disk.remove(temporary)
        raise
    disk.flush_folder(path.parent)


def set_aside(path: Path, quarantine: Path, data: bytes | None = None) -> Path:
    """Keep a copy of `path`, or of the part `data` of it, in `quarantine`; the original stays."""
    disk.make_folder(quarantine)
    data = disk.read(path) if data is None else data
    taken = set(disk.names(quarantine))
    for number in range(1, 1_000_000):
        copy = quarantine / (path.name if number == 1 else f"{path.name}.{number}")
        if copy.name not in taken:
            write_atomic(copy, data)
            return copy
        if disk.read(copy) == data:
            return copy
    raise AssertionError("a million damaged files of one name")

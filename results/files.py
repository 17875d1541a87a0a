"""Files that survive a crash: written beside, flushed, renamed, and the folder flushed too."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that at any instant the old or the new content is there, whole."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new, renamed and removed names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path, quarantine: Path) -> Path:
    """Keep a copy of `path` in `quarantine`, under a name of its own; the original stays."""
    quarantine.mkdir(exist_ok=True)
    data = path.read_bytes()
    for number in range(1, 1_000_000):
        copy = quarantine / (path.name if number == 1 else f"{path.name}.{number}")
        if not copy.exists():
            write_atomic(copy, data)
            return copy
        if copy.read_bytes() == data:
            return copy
    raise AssertionError("a million damaged files of one name")

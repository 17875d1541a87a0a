"""Disk: every file operation of a run's store passes here, so that each can be watched or failed.

Nothing else in this package opens, writes, renames or removes a file of a run but the lock, which
holds no data. A watcher sees an operation before it happens: it may raise in its place, or let a
write go through in part.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol, TypeVar

Operation = Literal[
    "read", "list", "open", "create", "write", "flush", "truncate",
    "rename", "remove", "make folder", "flush folder", "close",
]  # fmt: skip


class Watcher(Protocol):
    """Whoever is asked before each operation; for tests of what breaks."""

    def before(self, operation: Operation, path: Path, data: bytes) -> int | None:
        """Raise to fail it; of a write, how many bytes go through (None: all of them).

        `data` is what is written, the new name of a rename, or the new length of a file, in bytes.
        """
        ...


_watcher: Watcher | None = None
_Result = TypeVar("_Result")


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Show `watcher` every operation of this process while the block runs."""
    global _watcher
    before, _watcher = _watcher, watcher
    try:
        yield
    finally:
        _watcher = before


def _done(
    operation: Operation, path: Path, act: Callable[[], _Result], data: bytes = b""
) -> _Result:
    """Do it; again where a signal cut it short, as some network file systems report it."""
    while True:
        try:
            if _watcher is not None:
                _watcher.before(operation, path, data)
            return act()
        except InterruptedError:
            continue


def read(path: Path) -> bytes:
    """All of a file."""
    return _done("read", path, path.read_bytes)


def names(folder: Path) -> list[str]:
    """What a folder holds, sorted; nothing where there is no such folder."""
    try:
        return sorted(_done("list", folder, lambda: os.listdir(folder)))
    except FileNotFoundError:
        return []


def rename(old: Path, new: Path) -> None:
    """Put `old` in the place of `new`, at one instant."""
    _done("rename", old, lambda: os.replace(old, new), os.fsencode(new))


def overwrite(path: Path, data: bytes) -> None:
    """Put `data` at the beginning of an existing file, which takes no new space."""

    def put() -> None:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, data, 0)
        finally:
            os.close(descriptor)

    _done("open", path, put)


def remove(path: Path) -> None:
    """Remove a file; one that is gone already is fine."""
    with suppress(FileNotFoundError):
        _done("remove", path, lambda: os.unlink(path))


def make_folder(path: Path) -> None:
    """Make a folder and those above it; one that is there is fine."""
    _done("make folder", path, lambda: path.mkdir(parents=True, exist_ok=True))


def flush_folder(folder: Path) -> None:
    """Make new, renamed and removed names in `folder` durable."""

    def flush() -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    _done("flush folder", folder, flush)


class File:
    """A file open for writing; every write goes to the end of what is there."""

    def __init__(self, path: Path, *, new: bool = False) -> None:
        """An existing file, or with `new` one that must not exist."""
        self.path = path
        flags = os.O_WRONLY | os.O_APPEND | (os.O_CREAT | os.O_EXCL if new else 0)
        self._descriptor: int | None = _done(
            "create" if new else "open", path, lambda: os.open(path, flags, 0o644)
        )

    def write(self, data: bytes) -> None:
        """Append all of `data`; after an error, any part of it may be there."""
        left = memoryview(data)
        while left:
            left = left[self._write_some(left) :]

    def _write_some(self, data: memoryview) -> int:
        while True:
            try:
                most = (
                    None if _watcher is None else _watcher.before("write", self.path, bytes(data))
                )
                return os.write(self._open, data[:most])
            except InterruptedError:
                continue

    def flush(self) -> None:
        """What was written is on disk when this returns. After an error nothing is known of it.

        A second flush may claim success for data that was dropped (Rebello et al. 2020, "Can
        Applications Recover from fsync Failures?"), so the file must be written anew then.
        """
        _done("flush", self.path, lambda: os.fsync(self._open))

    def truncate(self, length: int) -> None:
        """Cut off what follows the first `length` bytes."""
        _done("truncate", self.path, lambda: os.ftruncate(self._open, length), b"%d" % length)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            if _watcher is not None:
                _watcher.before("close", self.path, b"")
        finally:
            with suppress(InterruptedError):  # Linux has closed it even then
                os.close(descriptor)

    @property
    def _open(self) -> int:
        assert self._descriptor is not None, f"{self.path} is closed"
        return self._descriptor

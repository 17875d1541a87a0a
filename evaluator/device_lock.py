"""DeviceLock: training steps share a device, measuring takes it alone.

Two file locks per device, held by the kernel and so freed when a process dies. Training passes
the gate and shares the floor for one step; measuring holds the gate, which stops new steps, and
then takes the floor alone, which waits for the running ones. So measuring can't starve.

What waits for others can be told to whoever limits a trial's time.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class DeviceLock:
    """Locks of one device, shared by all processes of this user on this node."""

    def __init__(
        self,
        device: str,
        folder: Path | None = None,
        waits: Callable[[bool], object] = lambda _: None,
    ) -> None:
        """`waits` hears when whoever takes it begins and ends to wait."""
        self._waits = waits
        folder = folder or private_folder()
        name = device.replace(":", "-")
        self._gate = _open(folder / f"{name}.gate")
        self._floor = _open(folder / f"{name}.floor")

    @contextmanager
    def shared(self) -> Iterator[None]:
        """For one training step: waits while somebody measures or is about to."""
        with self._held(self._gate, fcntl.LOCK_SH):
            self._take(self._floor, fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._floor, fcntl.LOCK_UN)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For a measurement: no training step runs on the device meanwhile."""
        with self._held(self._gate, fcntl.LOCK_EX), self._held(self._floor, fcntl.LOCK_EX):
            yield

    @contextmanager
    def _held(self, file: int, kind: int) -> Iterator[None]:
        self._take(file, kind)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _take(self, file: int, kind: int) -> None:
        """At once where it is free, which costs no more than a lock."""
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            self._say(True)
            try:
                fcntl.flock(file, kind)
            finally:
                self._say(False)

    def _say(self, waits: bool) -> None:
        say_waiting(waits)
        self._waits(waits)


_told: list[int] = []  # descriptors that want to know of waiting


def tell_waits(descriptor: int) -> None:
    """From now on write a line of JSON there when this process begins and ends to wait."""
    _told.append(descriptor)


def wait_listeners() -> tuple[int, ...]:
    """Descriptors that a process started for the same trial should tell as well."""
    return tuple(_told)


def say_waiting(waits: bool) -> None:
    """A line is short enough to be written whole, whoever else writes."""
    for descriptor in _told:
        os.write(descriptor, b'{"waits": true}\n' if waits else b'{"waits": false}\n')


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def private_folder() -> Path:
    """A folder that only this user can write to: a lock elsewhere could be held by anyone."""
    folder = Path(tempfile.gettempdir()) / f"attnas-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = folder.lstat()
    if owner.st_uid != os.getuid() or owner.st_mode & 0o077:
        raise PermissionError(f"{folder} must belong to you alone; remove it and try again")
    return folder

"""Run lock: one writer per run, by a file lock that the kernel frees when the process dies."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from results.errors import RunError
from results.folder import LOCK

PATIENCE_S = 0.5  # whoever asks whether a driver lives holds the lock for an instant


class RunLock:
    """The right to write one run, held from construction to `release`."""

    def __init__(self, run: Path) -> None:
        descriptor = os.open(run / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(descriptor)
            with suppress(OSError):  # advice for whoever is refused; a full disk is no reason
                os.ftruncate(descriptor, 0)
                who = f"process {os.getpid()} on {socket.gethostname()}"
                os.pwrite(descriptor, who.encode(), 0)
        except BlockingIOError:
            holder = os.pread(descriptor, 300, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise RunError(
                f"{run} is in use by {holder}; a run has one writer at a time: "
                "wait for it, stop it, or choose another --name"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let the next writer in; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _take(descriptor: int) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def is_locked(run: Path) -> bool | None:
    """Whether a writer has the run open; None where that can't be told.

    A lock that looks free says nothing of a writer on another host: shared folders may keep locks
    to each host.
    """
    try:
        descriptor = os.open(run / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        host = os.pread(descriptor, 300, 0).decode(errors="replace").rpartition(" on ")[2]
        return None if host not in ("", socket.gethostname()) else False
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)

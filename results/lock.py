"""Run lock: one writer per run, by a file lock that the kernel frees when the process dies."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from results.errors import RunError
from results.folder import LOCK


class RunLock:
    """The right to write one run, held from construction to `release`."""

    def __init__(self, run: Path) -> None:
        descriptor = os.open(run / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
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

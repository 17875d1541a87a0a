"""Process tree: which processes are below one, how much memory they hold, and their end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(process: int) -> list[int]:
    """Processes below this one, nearest first; as a snapshot, and without those that are gone."""
    found = list(_children(process))
    for child in found:  # grows while it is walked
        found.extend(_children(child))
    return found


def _children(process: int) -> Iterator[int]:
    """Where the kernel lists them, that costs microseconds; all processes are asked elsewhere."""
    lists = list(Path(f"/proc/{process}/task").glob("*/children"))
    if not lists:
        with suppress(psutil.Error):
            yield from (child.pid for child in psutil.Process(process).children())
        return
    for file in lists:
        with suppress(OSError):
            yield from map(int, file.read_text().split())


def private_bytes(process: int) -> int:
    """Memory that the process and those below it have for themselves, libraries left out."""
    return sum(_private(one) for one in (process, *descendants(process)))


def _private(process: int) -> int:
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
        return (int(resident) - int(shared)) * PAGE
    except (OSError, ValueError):
        pass
    try:
        return psutil.Process(process).memory_info().rss
    except psutil.Error:
        return 0


def end_descendants(process: int, within_s: float = 5.0) -> None:
    """Kill all that is below a process, whatever group or session it moved to.

    What dies leaves its own children to the process, if that takes up orphans; so until none is
    left.
    """
    give_up = time.monotonic() + within_s
    while (below := descendants(process)) and time.monotonic() < give_up:
        for one in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)

"""Exits: what the end of a process says of the trial that ran in it.

A crash or an exit is the trial's own doing. A process that was killed from outside says nothing of
its trial, which is lost and tried again; unless the system killed it for its memory.
"""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
WANTS_MEMORY = (b"std::bad_alloc", b"Cannot allocate memory")  # last words of native code

# Errors of the machine or its storage; whatever else an OSError says is the trial's own fault.
OF_THE_MACHINE = {
    errno.EMFILE: "the process has too many open files; raise `ulimit -n`",
    errno.ENFILE: "the machine has too many open files; raise fs.file-max",
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EIO: "the storage failed; look at its health",
    errno.EROFS: "the storage is read-only; mount it to be written",
    errno.ESTALE: "the shared folder went away; mount it again",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a trial ended that could not say so itself."""

    state: Literal["failed", "infeasible", "lost"]
    reason: str


def ending_of(code: int, *, out_of_memory: bool = False, said: bytes = b"") -> Ending:
    """Of an exit code, minus a signal's number; `said` is the last that the process printed."""
    if code >= 0:
        return Ending("failed", f"the trial ended its process with code {code}")
    name = _signal(-code)
    if -code == signal.SIGKILL and out_of_memory:
        return Ending("infeasible", "out of memory: the system killed the trial's process for it")
    if -code in FROM_OUTSIDE:
        return Ending("lost", f"the trial's process was killed from outside ({name})")
    if -code == signal.SIGABRT and any(words in said for words in WANTS_MEMORY):
        return Ending("infeasible", "out of memory: an allocation in native code failed")
    return Ending("failed", f"the trial crashed its process ({name})")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def fault_of_the_machine(error: BaseException) -> str | None:
    """Why a trial is not to blame for an error, and what to do; None where it is."""
    if error.__cause__ is not None and (deeper := fault_of_the_machine(error.__cause__)):
        return deeper
    number = error.errno if isinstance(error, OSError) else None
    if number is not None and number in OF_THE_MACHINE:
        return f"{OF_THE_MACHINE[number]} ({errno.errorcode[number]})"
    if isinstance(error, RuntimeError) and "too many open files" in str(error).lower():
        return f"{OF_THE_MACHINE[errno.EMFILE]} (EMFILE)"  # torch's way to say it
    return None


def oom_kills(root: Path = Path("/")) -> int:
    """Processes that the kernel has killed for memory: in this container, or on the machine."""
    group = root / "sys/fs/cgroup"
    try:
        own = (root / "proc/self/cgroup").read_text().rpartition("0::")[2].strip().lstrip("/")
    except OSError:
        own = ""
    for file in (group / own / "memory.events", group / "memory.events", root / "proc/vmstat"):
        try:
            counts = dict(line.split() for line in file.read_text().splitlines())
            return int(counts["oom_kill"])
        except (OSError, KeyError, ValueError):
            continue
    return 0

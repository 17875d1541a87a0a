"""Heartbeat: whether a run's driver is alive and what it does, as its status file says.

One answer for the command line and the dashboard. A status is read whatever it may lack: it is
advice beside the rows, so a damaged one must not keep anybody from them.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from results import disk
from results.files import write_atomic
from results.folder import STATUS
from results.lock import is_locked

DriverState = Literal["live", "finished", "stopped", "silent", "unknown"]
STATUS_BYTES = 4096  # its size is a multiple, so that a full disk has room for the next one
SILENT_S = 30.0  # drivers beat every two seconds, but a loaded machine may pause one for longer


@dataclass(frozen=True, slots=True)
class Running:
    """A trial that a worker is at."""

    trial: int | None
    origin: str
    seconds: float | None
    worker: str | None = None  # that of the rows
    phase: str | None = None  # starting, counting, waiting, measuring, training or scoring
    phase_seconds: float | None = None
    share: float | None = None  # of the training's steps that are done


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A driver's last report; a field that it left out is None."""

    state: DriverState
    phase: str | None  # in the driver's words, such as "searching"
    age: float | None  # seconds since the report
    trials_done: int | None
    trials_budget: int | None
    workers: int | None
    elapsed_s: float | None  # over all drivers of the run
    seconds_left: float | None  # to the deadline
    running: tuple[Running, ...]

    @property
    def live(self) -> bool:
        """Whether rows may still come."""
        return self.state == "live"

    @property
    def share_done(self) -> float | None:
        """Of the budget of trials."""
        if self.trials_done is None or not self.trials_budget:
            return None
        return min(1.0, max(0.0, self.trials_done / self.trials_budget))


def write_status(path: Path, status: Mapping[str, Any]) -> None:
    """Replace a run's status; `at` (unix seconds) and `pid` say whose it is.

    On a full disk in place, since that is when people look; torn, it counts as none.
    """
    text = json.dumps({"at": time.time(), "pid": os.getpid(), **status})
    data = text.ljust(-(-len(text) // STATUS_BYTES) * STATUS_BYTES).encode()
    try:
        write_atomic(path / STATUS, data)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        disk.overwrite(path / STATUS, data)


def read_status(path: Path) -> dict[str, Any] | None:
    """The status as it is on disk; None where there is none that can be read.

    `has_writer` is added: whether a process of this machine has the run open now.
    """
    try:
        status = json.loads(disk.read(path / STATUS))
    except (OSError, ValueError, RecursionError):
        return None
    return status | {"has_writer": is_locked(path)} if isinstance(status, dict) else None


def read_heartbeat(path: Path, now: float | None = None) -> Heartbeat:
    """The last report, read afresh: it changes without a row being added."""
    return interpret(read_status(path), time.time() if now is None else now)


def driver_state(status: Mapping[str, Any] | None, now: float) -> DriverState:
    """Finished or stopped, as the driver said; else live or silent, by the lock that it holds.

    The age of its report decides only where nobody can ask for the lock: clocks are set back, and
    a run that was copied has the report of another.
    """
    status = status or {}
    told, at = status.get("state"), _number(status.get("at"))
    if told == "finished" or told == "stopped":
        return told
    if told is None or at is None:
        return "unknown"
    if isinstance(status.get("has_writer"), bool):
        return "live" if status["has_writer"] else "silent"
    return "live" if now - at <= SILENT_S else "silent"


def interpret(status: Mapping[str, Any] | None, now: float) -> Heartbeat:
    """A status as the driver wrote it, whatever it may lack."""
    status = status or {}
    at, deadline = _number(status.get("at")), _number(status.get("deadline"))
    phase, running = status.get("state"), status.get("running")
    return Heartbeat(
        state=driver_state(status, now),
        phase=None if phase is None else str(phase),
        age=None if at is None else max(0.0, now - at),
        trials_done=_whole(status.get("trials_done")),
        trials_budget=_whole(status.get("trials_budget")),
        workers=_whole(status.get("workers")),
        elapsed_s=_number(status.get("elapsed_s")),
        seconds_left=None if deadline is None else max(0.0, deadline - now),
        running=tuple(
            _running(item, now)
            for item in (running if isinstance(running, list) else [])
            if isinstance(item, Mapping)
        ),
    )


def _running(item: Mapping[str, Any], now: float) -> Running:
    since, phase_since = _number(item.get("since")), _number(item.get("phase_since"))
    worker, phase, share = item.get("worker"), item.get("phase"), _number(item.get("share"))
    return Running(
        trial=_whole(item.get("trial")),
        origin=str(item.get("origin", "")),
        seconds=None if since is None else max(0.0, now - since),
        worker=worker if isinstance(worker, str) else None,
        phase=phase if isinstance(phase, str) else None,
        phase_seconds=None if phase_since is None else max(0.0, now - phase_since),
        share=None if share is None else min(1.0, max(0.0, share)),
    )


def _number(value: Any) -> float | None:
    """A finite number of a size that times and counts can have."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)

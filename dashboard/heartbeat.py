"""Heartbeat: whether a run's driver is alive and what it does, as its status file says."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from results.folder import STATUS

State = Literal["live", "finished", "stopped", "silent", "unknown"]
SILENT_AFTER = 60.0  # seconds; drivers report every few


@dataclass(frozen=True, slots=True)
class Running:
    """A trial that a worker is at."""

    trial: int | None
    origin: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A driver's last report; a field that it left out is None."""

    state: State
    age: float | None  # seconds since the report
    trials_done: int | None
    trials_budget: int | None
    workers: int | None
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


def read_heartbeat(path: Path, now: float | None = None) -> Heartbeat:
    """The last report, read afresh: it changes without a row being added."""
    try:
        status = json.loads((path / STATUS).read_bytes())
    except (OSError, ValueError):
        status = None
    return interpret(status if isinstance(status, Mapping) else {}, now or time.time())


def interpret(status: Mapping[str, Any], now: float) -> Heartbeat:
    """A status as the driver wrote it, whatever it may lack."""
    at = _number(status.get("at"))
    age = None if at is None else max(0.0, now - at)
    deadline = _number(status.get("deadline"))
    running = status.get("running")
    return Heartbeat(
        state=_state(status.get("state"), age),
        age=age,
        trials_done=_whole(status.get("trials_done")),
        trials_budget=_whole(status.get("trials_budget")),
        workers=_whole(status.get("workers")),
        seconds_left=None if deadline is None else max(0.0, deadline - now),
        running=tuple(
            _running(item, now)
            for item in (running if isinstance(running, list) else [])
            if isinstance(item, Mapping)
        ),
    )


def _state(told: Any, age: float | None) -> State:
    if told == "finished" or told == "stopped":
        return told
    if told is None or age is None:
        return "unknown"
    return "live" if age <= SILENT_AFTER else "silent"


def _running(item: Mapping[str, Any], now: float) -> Running:
    since = _number(item.get("since"))
    return Running(
        trial=_whole(item.get("trial")),
        origin=str(item.get("origin", "")),
        seconds=None if since is None else max(0.0, now - since),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None or abs(number) > 1e15 else int(number)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`, `2 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"

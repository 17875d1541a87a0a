"""Doing: what each worker is at now, in one small file per running trial in the run's folder.

Whoever watches over a trial writes it, the driver reads it into its heartbeat. It is advice for
onlookers: what cannot be written or read is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.trial import Trial
from evaluator.spans import NAMES, Doing

FOLDER = "doing"
MOST = 64  # running trials of which it is read: a status is for people


@dataclass(slots=True)
class Shown:
    """One trial's file, until `end`."""

    run: Path
    trial: Trial
    worker: str
    least_s: float = 0.0  # between two states of the file
    _now: dict[str, Any] = field(default_factory=dict)
    _written: dict[str, Any] = field(default_factory=dict)
    _written_at: float = float("-inf")

    def tell(self, doing: Doing | None, share: float | None = None) -> None:
        """What it does from now on, or how far its training is."""
        if doing != self._now.get("phase"):
            self._now = {"phase": doing, "phase_since": time.time()}
        if share is not None:
            self._now = self._now | {"share": round(share, 3)}
        self.show()

    def show(self) -> None:
        """Write what changed, unless that was done just now: then the next call does."""
        now = time.monotonic()
        if self._now == self._written or now - self._written_at < self.least_s:
            return
        self._written, self._written_at = self._now, now
        about = {"attempt": self.trial.attempt, "worker": self.worker} | self._now
        file = _file(self.run, self.trial.trial)
        beside = file.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            file.parent.mkdir(exist_ok=True)
            beside.write_text(json.dumps(about), encoding="utf-8")
            os.replace(beside, file)

    def end(self) -> None:
        """It is not running any more."""
        with suppress(OSError):
            _file(self.run, self.trial.trial).unlink(missing_ok=True)


def running_status(run: Path, running: Iterable[tuple[Trial, float]]) -> list[dict[str, Any]]:
    """The heartbeat's list of running trials, each with its start in unix seconds."""
    return [
        {"trial": trial.trial, "origin": trial.origin, "since": since}
        | (_read(run, trial) if index < MOST else {})
        for index, (trial, since) in enumerate(running)
    ]


def remove(run: Path) -> None:
    """What is left of it once nothing runs."""
    shutil.rmtree(run / FOLDER, ignore_errors=True)


def _read(run: Path, trial: Trial) -> dict[str, Any]:
    """`worker`, `phase`, `phase_since` and `share`, as far as they are known."""
    try:
        about = json.loads(_file(run, trial.trial).read_text(encoding="utf-8"))
        if about["attempt"] != trial.attempt:
            return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    if about.get("phase") not in NAMES:
        about |= {"phase": None}
    known = ("worker", "phase", "phase_since", "share")
    return {name: about[name] for name in known if about.get(name) is not None}


def _file(run: Path, trial: int) -> Path:
    return run / FOLDER / f"trial-{trial}.json"

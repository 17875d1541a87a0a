"""Time limit: how long a trial may take, as configured or by what others took.

Without a configured one, it follows the longest trial that was trained to its end so far, which the
driver leaves in the run's folder: a trial may be on its way already when the first of all ends. One
that was refused, diverged or stopped at a rung says nothing of how long the others take.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from results import TrialRow
from results.files import write_atomic

TIMES, LEAST_S = 20, 600.0  # of the longest trial; a slow neighbour or a larger design is no hang
FILE = "longest-trial"


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Seconds that a trial may take, and where that is from."""

    seconds: float
    source: str

    @property
    def reason(self) -> str:
        """Why a trial that took longer was ended."""
        return f"took longer than its limit of {spelled(self.seconds)} ({self.source})"


def limit_of(run: Path, minutes: float | None) -> TimeLimit | None:
    """The limit by now; none before any trial was trained to its end."""
    if minutes is not None:
        return TimeLimit(60 * minutes, "engine.trial_minutes")
    try:
        longest = float((run / FILE).read_text())
    except (OSError, ValueError):
        return None
    source = f"{TIMES} times the longest trial so far, and at least {spelled(LEAST_S)}"
    return TimeLimit(max(TIMES * longest, LEAST_S), f"{source}; raise engine.trial_minutes")


class LongestTrial:
    """The driver's part: keeps the file of a run up to date."""

    def __init__(self, run: Path, rows: Iterable[TrialRow] = ()) -> None:
        """`rows` are those that the run has already."""
        self._file, self._seconds = run / FILE, 0.0
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
        for row in rows:
            self.note(row)

    def note(self, row: TrialRow) -> None:
        """A row; that its time can't be kept stops nothing."""
        if row.state == "complete" and (took := _took(row)) > self._seconds:
            self._seconds = took
            with suppress(OSError):
                write_atomic(self._file, f"{took:.3f}\n".encode())


def _took(row: TrialRow) -> float:
    """Seconds from start to end; a row has the last part's alone, and all of the training's."""
    return max(row.finished_at - row.started_at, row.metrics.get("train_seconds", 0.0))


def spelled(seconds: float) -> str:
    """3 minutes; 1.5 minutes; 40 seconds."""
    number, unit = (seconds, "second") if seconds < 60 else (seconds / 60, "minute")
    return f"{number:.3g} {unit}{'' if number == 1 else 's'}"

"""Waiting log: a search pauses while its disk is full, and goes on when there is space again.

Whatever else fails is raised. Nothing is lost meanwhile: what can't be stored has not happened yet.
A trial that was lost to a full disk goes out again only once weights have space.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from controller.exits import OF_THE_MACHINE
from controller.trial import Log
from controller.weights import weights_path
from results import Ask, TrialRow

FULL = (errno.ENOSPC, errno.EDQUOT)
LEAST_BYTES = 2**20  # that a trial is thought to need where none has left weights yet

_Result = TypeVar("_Result")


@dataclass(slots=True)
class Pause:
    """Why nothing goes on at present; other threads look, and may end it."""

    reason: str | None = None
    given_up: bool = False  # the next failure is raised: somebody interrupted the search
    wait_s: float = 2.0  # before it is tried again

    def endured(self, error: OSError) -> bool:
        """Wait a little; False where waiting is of no use."""
        if error.errno not in FULL or self.given_up:
            self.reason = None
            return False
        place = f" ({error.filename})" if error.filename else ""
        self.reason = f"the disk is full{place}; free some space and the search goes on"
        time.sleep(self.wait_s)
        return True


class WaitingLog:
    """A log whose asks and rows wait for space."""

    def __init__(self, log: Log, pause: Pause, run: Path | None = None) -> None:
        """`run`: the folder where trials leave their weights."""
        self._log, self._pause, self._run = log, pause, run

    @property
    def events(self) -> Sequence[Ask | TrialRow]:
        """Those of the log within."""
        return self._log.events

    def ask(self, **asked: Any) -> Ask:
        """Note that a trial goes out."""
        return self._done(lambda: self._log.ask(**asked))

    def append(self, row: TrialRow) -> TrialRow | None:
        """Keep a row; None for one that is there already."""
        stored = self._done(lambda: self._log.append(row))
        self._wait_for_weights([row])
        return stored

    def absorb_inbox(self) -> list[TrialRow]:
        """Keep what workers left behind, and say what it was."""
        rows = self._done(self._log.absorb_inbox)
        self._wait_for_weights(rows)
        return rows

    def _done(self, act: Callable[[], _Result]) -> _Result:
        while True:
            try:
                done = act()
            except OSError as error:
                if not self._pause.endured(error):
                    raise
            else:
                self._pause.reason = None
                return done

    def _wait_for_weights(self, rows: Sequence[TrialRow]) -> None:
        """After a trial was lost to a full disk, until a file of the largest weights' size fits."""
        full = tuple(OF_THE_MACHINE[code] for code in FULL)
        if self._run is None or not any(
            row.state == "lost" and (row.reason or "").startswith(full) for row in rows
        ):
            return
        folder = weights_path(self._run, 0).parent
        sizes = [file.stat().st_size for file in folder.glob("*.safetensors")]
        self._done(lambda: _check_space(folder, 2 * max(sizes, default=LEAST_BYTES)))


def _check_space(folder: Path, size: int) -> None:
    """OSError where a file of so many bytes has no space."""
    for left in folder.glob(".space.*"):  # of a driver that was killed just then
        left.unlink()
    file = folder / f".space.{os.getpid()}"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
        file.unlink()

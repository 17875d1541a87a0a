"""Export job: one export that runs as the command does, in a process beside the dashboard."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import streamlit as st

State = Literal["running", "done", "failed", "cancelled"]
MOST_LINES, LONGEST_LINE = 400, 2000


@dataclass(frozen=True, slots=True)
class Request:
    """What is exported, and the command that does it."""

    run: Path
    trial: int
    to: Path
    arguments: tuple[str, ...]  # after `attnas`


class Job:
    """An export under way or over; what it said comes in as it is said."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.lines: list[str] = []
        self.started_at = time.time()
        self.seconds: float | None = None  # that it took, once it is over
        self._cancelled = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.tethered", *request.arguments],
            stdin=subprocess.PIPE,  # its end is the end of the export: see tethered.py
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "TERM": "dumb"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def state(self) -> State:
        """Where it stands."""
        if self._reader.is_alive():
            return "running"
        if self._cancelled:
            return "cancelled"
        return "failed" if self._process.returncode else "done"

    def cancel(self) -> None:
        """End it and what it started; the folder keeps what was written so far."""
        self._cancelled = True
        try:
            process = psutil.Process(self._process.pid)
            for each in [*process.children(recursive=True), process]:
                each.kill()
        except psutil.NoSuchProcess:
            pass
        self.wait()

    def wait(self, timeout: float | None = 10.0) -> State:
        """Until it is over, or so long."""
        self._reader.join(timeout)
        return self.state

    def _read(self) -> None:
        with self._process as process:  # at its end, no pipe of it stays open
            assert process.stdout is not None
            for line in process.stdout:
                if len(self.lines) < MOST_LINES:
                    self.lines.append(line.decode(errors="replace").rstrip()[:LONGEST_LINE])
        self.seconds = time.time() - self.started_at


class Jobs:
    """The last export of this dashboard; there is one at a time."""

    def __init__(self) -> None:
        self.last: Job | None = None
        self._lock = threading.Lock()

    def start(self, request: Request) -> Job:
        """Begin an export; ValueError while another one runs."""
        with self._lock:
            if self.last is not None and self.last.state == "running":
                raise ValueError("another export is running; wait for it or cancel it")
            self.last = Job(request)
            return self.last

    def forget(self) -> None:
        """Show the last export no longer; what it wrote stays."""
        with self._lock:
            if self.last is not None and self.last.state != "running":
                self.last = None


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """Those of this dashboard, for all its sessions."""
    return Jobs()

"""Worker log: what a trial prints, in the run's logs as far as it is of a sane size."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from controller.trial import Trial

LARGEST_LOG = 2**20  # bytes of a trial's output; a run of thousands keeps what is worth reading
TAIL = 4096  # bytes that are remembered, for the reason of a crash


def log_path(run: Path, trial: Trial) -> Path:
    """Where the output and tracebacks of an attempt go."""
    return run / "logs" / f"trial-{trial.trial}-{trial.attempt}.log"


class WorkerLog:
    """Takes in everything, keeps the first megabyte; makes no file for nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail = b""
        self._kept = self._left_out = 0

    @property
    def exists(self) -> bool:
        """Whether anything was written, here or by the trial itself."""
        return self.path.exists()

    def take(self, output: bytes) -> None:
        """More of what was printed."""
        self.tail = (self.tail + output)[-TAIL:]
        kept = output[: LARGEST_LOG - self._kept]
        self._left_out += len(output) - len(kept)
        self._kept += len(kept)
        if kept:
            self._write(kept)

    def close(self) -> None:
        """Say what was left out, if anything was."""
        if self._left_out:
            self._write(f"\n... {self._left_out:,} more bytes were left out\n".encode())
            self._left_out = 0

    def _write(self, output: bytes) -> None:
        """A log that can't be written is no reason to stop."""
        with suppress(OSError), open(self.path, "ab") as file:
            file.write(output)

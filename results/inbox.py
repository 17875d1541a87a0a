"""Inbox: where a worker leaves a finished row, so that a dead driver costs nothing."""

from __future__ import annotations

from pathlib import Path

from results import disk
from results.files import write_atomic
from results.folder import INBOX
from results.journal import decode, encode
from results.schema import TrialRow


def write_result(run_path: Path, row: TrialRow) -> None:
    """Leave `row` for the run's writer; it is on disk when this returns."""
    name = "-".join(f"{number:06d}" for number in row.identity)
    write_atomic(Path(run_path) / INBOX / f"{name}.row", encode(row.to_plain()))


def inbox_files(run: Path) -> list[Path]:
    """What lies in the inbox, oldest name first; files still being written are left out."""
    folder = run / INBOX
    return [folder / name for name in disk.names(folder) if not name.startswith(".")]


def read_result(file: Path) -> TrialRow | None:
    """The row a worker left, or None for a torn file."""
    record = decode(disk.read(file).removesuffix(b"\n"))
    return None if record is None else TrialRow.from_plain(record)

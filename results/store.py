"""The run's writer: every ask and row is on disk before it is acknowledged.

Rows go to the journal; every thousand of them are folded into a Parquet segment. A fold writes
the segment, then a new journal that carries the asks still pending, then the manifest, and only
then moves the pointer: a crash before that leaves the old files in force, untouched.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from results.errors import RunError
from results.files import set_aside, sync_folder, write_atomic
from results.folder import (
    CONFIG,
    DESCRIPTION,
    FOLDERS,
    JOURNALS,
    MANIFESTS,
    QUARANTINE,
    RUN_FORMAT,
    STATUS,
    attnas_version,
    is_run,
    read_description,
)
from results.inbox import inbox_files, read_result
from results.journal import Journal, encode, repair_journal
from results.lock import RunLock
from results.manifest import Manifest, publish, read_manifest, read_segment, write_segment
from results.objectives import parse_objectives
from results.replay import RunLog, merge_events
from results.schema import Ask, TrialRow, table_to_rows

FOLD_ROWS = 1000  # a larger journal slows every read, smaller segments make too many files


class RunWriter:
    """The only writer of one run; use it as a context manager, from one thread."""

    def __init__(self, path: Path, lock: RunLock) -> None:
        self.path = path
        self._lock = lock
        self._journal: Journal | None = None
        self._load()

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        config: Mapping[str, Any],
        config_text: str,
        objectives: Mapping[str, str],
        provenance: Mapping[str, Any],
        name: str,
    ) -> RunWriter:
        """A new, empty run in the folder `path`."""
        path = Path(path)
        parse_objectives(objectives)
        path.mkdir(parents=True, exist_ok=True)
        lock = RunLock(path)
        try:
            if is_run(path):
                raise RunError(f"{path} already holds a run; use attnas resume, or another --name")
            for folder in FOLDERS:
                (path / folder).mkdir(exist_ok=True)
            manifest = Manifest.numbered(0, ())
            write_atomic(path / CONFIG, config_text.encode())
            write_atomic(path / manifest.journal, b"")
            publish(path, manifest)
            description = {
                "format": RUN_FORMAT,
                "name": name,
                "created_at": time.time(),
                "attnas": attnas_version(),
                "objectives": dict(objectives),
                "config": dict(config),
                "provenance": dict(provenance),
            }
            write_atomic(path / DESCRIPTION, json.dumps(description, indent=1).encode())
            sync_folder(path.parent)
            return cls(path, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, path: Path) -> RunWriter:
        """Go on with a run: a torn journal is repaired and the inbox taken in."""
        path = Path(path)
        read_description(path)
        lock = RunLock(path)
        try:
            writer = cls(path, lock)
            writer.absorb_inbox()
            return writer
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def events(self) -> list[Ask | TrialRow]:
        """Every ask and row in the order they happened, read from disk: call it once."""
        stored = [
            row
            for segment in self._manifest.segments
            for row in table_to_rows(read_segment(self.path, segment))
        ]
        return merge_events(stored + self._log.rows, self._log.pending.values())

    @property
    def pending(self) -> list[Ask]:
        """Asks that no row has ended, oldest first."""
        return list(self._log.pending.values())

    def ask(
        self,
        *,
        trial: int,
        attempt: int,
        seed: int,
        key: str,
        design: str,
        origin: str,
        settings: str | None = None,
        rung: int = 0,
    ) -> Ask:
        """Note that a design goes out to be trained; on disk when this returns."""
        ordinal = self._log.next_ordinal
        ask = Ask(trial, attempt, seed, key, design, origin, ordinal, settings, rung)
        if self._log.knows_ask(ask):
            raise ValueError(
                f"trial {trial}, attempt {attempt}, seed {seed}, rung {rung} was asked already"
            )
        with self._reloading_on_failure():
            self._open_journal.append({"ask": ask.to_plain()})
            self._log.add_ask(ask)
        return ask

    def append(self, row: TrialRow) -> TrialRow | None:
        """Store a row; on disk when this returns. None for one that is stored already."""
        if self._log.knows_row(row):
            return None
        asked_at = self._log.check_answer(row)
        stored = replace(row, asked_at=asked_at, told_at=self._log.next_ordinal)
        with self._reloading_on_failure():
            self._open_journal.append({"row": stored.to_plain()})
            self._log.add_row(stored)
        if len(self._log.rows) >= FOLD_ROWS:
            self.fold()
        return stored

    def absorb_inbox(self) -> list[TrialRow]:
        """Append what workers left and remove it; a torn or foreign file is set aside."""
        absorbed: list[TrialRow] = []
        for file in inbox_files(self.path):
            try:
                row = read_result(file)
                stored = None if row is None else self.append(row)
            except ValueError:
                row = stored = None
            if stored is not None:
                absorbed.append(stored)
            if row is None:
                set_aside(file, self.path / QUARANTINE)
            file.unlink()
        return absorbed

    def heartbeat(self, status: Mapping[str, Any]) -> None:
        """Replace the run's status; `at` (unix seconds) and `pid` say whose it is."""
        data = {"at": time.time(), "pid": os.getpid(), **status}
        write_atomic(self.path / STATUS, json.dumps(data).encode())

    def fold(self) -> None:
        """Move the journal's rows into a new segment; does nothing without rows."""
        if not self._log.rows:
            return
        with self._reloading_on_failure():
            number = self._manifest.number + 1
            segment = write_segment(self.path, number, self._log.rows)
            manifest = Manifest.numbered(number, (*self._manifest.segments, segment))
            carried = b"".join(encode({"ask": ask.to_plain()}) for ask in self.pending)
            write_atomic(self.path / manifest.journal, carried)
            publish(self.path, manifest)
            self._manifest = manifest
            self._open_journal.close()
            self._journal = Journal(self.path / manifest.journal)
            self._log.rows.clear()
        self._remove_older_than(number - 1)

    def close(self) -> None:
        """Fold, and let the next writer in; a second call does nothing."""
        if self._journal is None:
            return
        try:
            self.fold()
        finally:
            if self._journal is not None:
                self._journal.close()
                self._journal = None
            self._lock.release()

    @property
    def _open_journal(self) -> Journal:
        assert self._journal is not None, "the run's writer is closed"
        return self._journal

    @contextmanager
    def _reloading_on_failure(self) -> Iterator[None]:
        """After a full disk or a Ctrl-C in the midst, what is on disk is what counts."""
        try:
            yield
        except BaseException:
            self._load()
            raise

    def _load(self) -> None:
        """Take the state from disk, cutting off a torn tail."""
        self._manifest = read_manifest(self.path)
        file = self.path / self._manifest.journal
        try:
            records = repair_journal(file)
        except RunError as error:
            copy = set_aside(file, self.path / QUARANTINE)
            raise RunError(f"{error}; a copy is in {copy}") from None
        self._log = RunLog()
        for segment in self._manifest.segments:
            self._log.add_stored(read_segment(self.path, segment, RunLog.COLUMNS))
        self._log.add_records(records)
        if self._journal is not None:
            self._journal.close()
        self._journal = Journal(file)

    def _remove_older_than(self, number: int) -> None:
        """Readers of the manifest before this one may still be at work; older ones retry."""
        for folder in (JOURNALS, MANIFESTS):
            for file in (self.path / folder).iterdir():
                if file.stem.isdigit() and int(file.stem) < number:
                    file.unlink()

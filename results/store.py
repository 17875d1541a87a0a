"""The run's writer: every ask and row is on disk before it is acknowledged.

Rows go to the journal; every thousand of them are folded into a Parquet segment. A fold writes
the segment, then a new journal that carries the asks still pending, then the manifest, and only
then moves the pointer: a crash before that leaves the old files in force, untouched.

After an operation that failed, nobody knows what is on disk beyond what was acknowledged. The next
one then begins with a new journal of just that, in a new file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from results import disk
from results.errors import RunError
from results.files import set_aside, write_atomic
from results.folder import (
    QUARANTINE,
    is_run,
    lacks,
    read_description,
)
from results.heartbeat import write_status
from results.inbox import inbox_files, read_result
from results.journal import Journal, encode, parse_journal
from results.lock import RunLock
from results.manifest import Manifest, publish, read_manifest
from results.new_run import describe, first_files
from results.objectives import parse_objectives
from results.replay import RunLog, merge_events
from results.schema import Ask, TrialRow
from results.segments import read_segment, with_rows
from results.stored_rows import LEFT_OUT, bare, stored_rows

FOLD_ROWS = 1000  # a larger journal slows every read, smaller segments make too many files


class RunWriter:
    """The only writer of one run; use it as a context manager, from one thread."""

    def __init__(self, path: Path, lock: RunLock) -> None:
        self.path = path
        self.remarks: list[str] = []  # what was wrong with the files and mended, in sentences
        self._lock = lock
        self._journal: Journal | None = None
        self._unsure = False  # whether an operation failed, so that more may be on disk than here
        self._fold_later = 0  # rows that a fold waits for, after one that failed
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
        disk.make_folder(path)
        lock = RunLock(path)
        try:
            if is_run(path):
                raise RunError(f"{path} already holds a run; use attnas resume, or another --name")
            first_files(path, config_text)
            writer = cls(path, lock)
            description = {
                "name": name,
                "objectives": dict(objectives),
                "config": dict(config),
                "provenance": dict(provenance),
            }
            describe(path, description)  # now it is a run
            return writer
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, path: Path) -> RunWriter:
        """Go on with a run: a torn journal is mended and the inbox taken in; see `remarks`."""
        path = Path(path)
        read_description(path)
        lock = RunLock(path)
        try:
            writer = cls(path, lock)
            while writer.absorb_inbox():
                pass
            return writer
        except FileNotFoundError as error:
            lock.release()
            raise lacks(path, error) from None
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
        """Every ask and row in the order they happened, read from disk: call it once.

        Rows are without what no search decides by (`results.stored_rows`).
        """
        stored = [
            row
            for segment in self._manifest.segments
            for row in stored_rows(read_segment(self.path, segment, without=LEFT_OUT))
        ]
        stored += map(bare, self._log.rows)
        return merge_events(stored, self._log.pending.values())

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
        self._mend()
        ordinal = self._log.next_ordinal
        ask = Ask(trial, attempt, seed, key, design, origin, ordinal, settings, rung)
        if self._log.knows_ask(ask):
            raise ValueError(
                f"trial {trial}, attempt {attempt}, seed {seed}, rung {rung} was asked already"
            )
        with self._changing():
            self._open_journal.append({"ask": ask.to_plain()})
            self._log.add_ask(ask)
        return ask

    def append(self, row: TrialRow) -> TrialRow | None:
        """Store a row; on disk when this returns. None for one that is stored already."""
        self._mend()
        if self._log.knows_row(row):
            return None
        asked_at = self._log.check_answer(row)
        stored = replace(row, asked_at=asked_at, told_at=self._log.next_ordinal)
        with self._changing():
            self._open_journal.append({"row": stored.to_plain()})
            self._log.add_row(stored)
        if len(self._log.rows) >= FOLD_ROWS + self._fold_later:
            self._fold_later += FOLD_ROWS // 4
            with suppress(OSError, RunError):  # the row is stored; a later one tries again
                self.fold()
        return stored

    def absorb_inbox(self) -> list[TrialRow]:
        """Append what workers left and remove it; a torn or foreign file is set aside.

        Where that fails after some rows, these are returned: call it until it gives none.
        """
        absorbed: list[TrialRow] = []
        for file in inbox_files(self.path):
            try:
                self._absorb(file, absorbed)
            except OSError:
                if absorbed:
                    break
                raise
        return absorbed

    def _absorb(self, file: Path, absorbed: list[TrialRow]) -> None:
        try:
            row = read_result(file)
            stored = None if row is None else self.append(row)
        except ValueError:  # not a row, or not one that was asked for
            row = stored = None
        if stored is not None:
            absorbed.append(stored)
        if row is None:
            set_aside(file, self.path / QUARANTINE)
        disk.remove(file)

    def heartbeat(self, status: Mapping[str, Any]) -> None:
        """Replace the run's status."""
        write_status(self.path, status)

    def fold(self) -> None:
        """Move the journal's rows into a new segment; does nothing without rows."""
        self._mend()
        if not self._log.rows:
            return
        before = self._manifest
        segments = with_rows(self.path, before.number + 1, before.segments, self._log.rows)
        carried = b"".join(encode({"ask": ask.to_plain()}) for ask in self.pending)
        with self._changing():
            self._move_to(before.followed_by(segments), carried)
            self._log.rows.clear()
        self._fold_later = 0

    def close(self) -> None:
        """Fold, and let the next writer in; a second call does nothing."""
        if self._journal is None:
            return
        try:
            with suppress(OSError, RunError):  # the journal has the rows as well
                self.fold()
        finally:
            journal, self._journal = self._journal, None
            with suppress(OSError):  # all that it acknowledged is on disk
                journal.close()
            self._lock.release()

    @property
    def _open_journal(self) -> Journal:
        assert self._journal is not None, "the run's writer is closed"
        return self._journal

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A change of the files that are in force; after a failure nobody knows how far it went."""
        try:
            yield
        except BaseException:  # a full disk, or a Ctrl-C in the midst
            self._unsure = True
            raise

    def _mend(self) -> None:
        """After a failure, a new journal with what was acknowledged and nothing beyond that."""
        if not self._unsure:
            return
        current = read_manifest(self.path)
        # Another one is of a fold that failed when it was published; nothing was added since.
        size = self._open_journal.size if current == self._manifest else None
        content = disk.read(self.path / current.journal)[:size]
        self._move_to(current.followed_by(current.segments), content)
        self._load()
        self._unsure = False

    def _move_to(self, manifest: Manifest, journal: bytes) -> None:
        """Publish a manifest with a journal of this content, and go on in it."""
        outdated = self._manifest.outdated
        write_atomic(self.path / manifest.journal, journal)
        publish(self.path, manifest)
        self._go_on_in(manifest, Journal(self.path / manifest.journal, len(journal)))
        # Readers of the manifest before this one may still be at work; those of older ones retry.
        for name in outdated:
            with suppress(OSError):  # a file too many harms nobody
                disk.remove(self.path / name)

    def _go_on_in(self, manifest: Manifest, journal: Journal) -> None:
        """Both at once: a journal's size is that of the manifest's journal."""
        before = self._journal
        self._manifest, self._journal = manifest, journal
        if before is not None:
            with suppress(OSError):  # all that it acknowledged is in the new one
                before.close()

    def _load(self) -> None:
        """Take the state from disk; what follows the last whole record is cut off."""
        manifest = read_manifest(self.path)
        file = self.path / manifest.journal
        content = parse_journal(disk.read(file))
        if content.damaged is not None:
            copy = set_aside(file, self.path / QUARANTINE, content.rest)
            if content.good_after:
                content.refuse_damage(file)
            self.remarks.append(
                f"{file} ended in {len(content.rest)} bytes that are no record, as a power cut may "
                f"leave them; they are in {copy}"
            )
        log = RunLog()
        for segment in manifest.segments:
            log.add_stored(read_segment(self.path, segment, RunLog.COLUMNS))
        log.add_records(content.records)
        self._go_on_in(manifest, Journal(file, content.good_bytes))
        self._log = log

"""Annotations: what people note of trials, and the tags they give them, in the run's own folder.

Anybody may write at any time, a driver or not: a file of its own holds a checksummed record per
change (as in a journal), appended under that file's lock. A record names only what it changes, so
two people who write of one trial lose nothing; of two notes the later stands. A record that is
damaged costs itself alone. A driver that mirrors the run pushes the file along with what lies
beside the rows.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from results import disk
from results.errors import RunError
from results.folder import is_run
from results.journal import decode, encode
from results.pull import is_pulled

ANNOTATIONS = "annotations.log"
LONGEST_NOTE = 2000  # characters
MOST_TAGS = 20  # of one trial
LEGAL_TAG = re.compile(r"[^\W_][\w.-]{0,29}")
LAST = 253402300800  # unix seconds: a time before has a year of four digits
PATIENCE_S = 5.0  # another writer holds the lock while it flushes one record


@dataclass(frozen=True, slots=True)
class Annotation:
    """What people say of one trial."""

    note: str = ""
    tags: tuple[str, ...] = ()  # in the order in which they were given
    at: float | None = None  # unix seconds of the last change

    def __bool__(self) -> bool:
        return bool(self.note or self.tags)


@dataclass(frozen=True, slots=True)
class Annotations:
    """What people say of a run's trials."""

    by_trial: dict[int, Annotation] = field(default_factory=dict)  # those with a note or a tag
    damaged: int = 0  # lines of the file that cannot be read

    def of(self, trial: int) -> Annotation:
        """Of one trial; nothing where nobody said anything."""
        return self.by_trial.get(trial, Annotation())

    def tags(self) -> dict[str, int]:
        """How many trials bear each tag, by its name."""
        counts: dict[str, int] = {}
        for annotation in self.by_trial.values():
            for tag in annotation.tags:
                counts[tag] = counts.get(tag, 0) + 1
        return dict(sorted(counts.items()))

    def tagged(self, tag: str) -> list[int]:
        """The trials that bear a tag."""
        return [trial for trial, known in self.by_trial.items() if tag in known.tags]


def read_annotations(run: Path) -> Annotations:
    """All that people said of a run's trials; a last line that is still written is left out."""
    try:
        data = disk.read(run / ANNOTATIONS)
    except FileNotFoundError:
        return Annotations()
    except OSError as error:
        raise RunError(
            f"the notes in {run / ANNOTATIONS} can't be read: {error.strerror}"
        ) from None
    return _parsed(data)


def annotate(
    run: Path,
    trial: int,
    *,
    note: str | None = None,
    over: str | None = None,
    tag: Iterable[str] = (),
    untag: Iterable[str] = (),
) -> Annotation:
    """Set a trial's note ("" removes it), give it tags and take tags away.

    It is on disk when this returns; RunError says in a sentence why nothing was written, as where
    the note is to replace `over` and another one stands there.
    """
    if not is_run(run):
        raise RunError(f"{run} holds no run, so nothing of it can be noted")
    if is_pulled(run):
        raise RunError(
            f"{run} is a copy of a run in an object store, and a note here would be lost; note it "
            "where the run was made, and it is pushed from there"
        )
    given = [checked_tag(name) for name in tag]
    taken = [str(name).strip() for name in untag]
    note = None if note is None else checked_note(note)
    with _writing(run) as path:
        data = disk.read(path)
        before = _parsed(data).of(trial)
        if note is not None and over is not None and before.note not in (over, note):
            raise RunError("somebody else wrote another note meanwhile; read it first")
        change: dict[str, Any] = {}
        if note is not None and note != before.note:
            change["note"] = note
        if new := [name for name in given if name not in before.tags]:
            change["tag"] = new
        if gone := [name for name in taken if name in before.tags and name not in given]:
            change["untag"] = gone
        if not change:
            return before
        record = {"trial": trial, **change, "at": time.time()}
        after = _changed(before, record)
        if len(after.tags) > MOST_TAGS:
            raise RunError(f"a trial has at most {MOST_TAGS} tags, but got {len(after.tags)}")
        _append(path, data, encode(record))
        return after


def checked_tag(tag: str) -> str:
    """The tag without space around it, or a RunError that says what one is."""
    tag = tag.strip()
    if not LEGAL_TAG.fullmatch(tag):
        raise RunError(
            "a tag is one word of at most 30 letters, digits, dots, dashes and underscores, "
            f"but got {tag[:60]!r}"
        )
    return tag


def checked_note(note: str) -> str:
    """The note without space around it, or a RunError where it is too long."""
    note = note.strip()
    if len(note) > LONGEST_NOTE:
        raise RunError(f"a note has at most {LONGEST_NOTE:,} characters, but got {len(note):,}")
    return note


def _parsed(data: bytes) -> Annotations:
    """What the whole lines say, one after the other."""
    *lines, _ = data.split(b"\n")
    known: dict[int, Annotation] = {}
    damaged = 0
    for line in lines:
        record = _read(line)
        if record is None:
            damaged += 1
        else:
            trial = record["trial"]
            known[trial] = _changed(known.get(trial, Annotation()), record)
    return Annotations({trial: said for trial, said in known.items() if said}, damaged)


def _read(line: bytes) -> dict[str, Any] | None:
    """The record of a line, None where it is none of ours."""
    try:
        record = decode(line)
    except (ValueError, RecursionError):
        return None
    trial = record.get("trial") if isinstance(record, dict) else None
    if record is None or not isinstance(trial, int) or isinstance(trial, bool) or trial < 0:
        return None
    return record


def _changed(before: Annotation, record: dict[str, Any]) -> Annotation:
    """What is said after a record; parts of it that make no sense change nothing."""
    note, at = record.get("note"), record.get("at")
    gone = _tags(record.get("untag"))
    tags = [name for name in before.tags if name not in gone]
    tags += [name for name in _tags(record.get("tag")) if name not in tags]
    return replace(
        before,
        note=note[:LONGEST_NOTE] if isinstance(note, str) else before.note,
        tags=tuple(tags),
        at=float(at) if isinstance(at, int | float) and 0 <= at < LAST else before.at,
    )


def _tags(value: Any) -> list[str]:
    values = value if isinstance(value, list) else []
    return [name for name in values if isinstance(name, str) and LEGAL_TAG.fullmatch(name)]


def _append(path: Path, data: bytes, line: bytes) -> None:
    """Put a line after the last whole one; a write that fails leaves what was there."""
    whole = data.rfind(b"\n") + 1
    file = disk.File(path)
    try:
        if whole < len(data):  # the beginning of a record that nobody was told of
            file.truncate(whole)
        try:
            file.write(line)
            file.flush()
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell of
                file.truncate(whole)
            raise
    finally:
        file.close()


@contextmanager
def _writing(run: Path) -> Iterator[Path]:
    """The file of annotations, which is there, while no other process writes it."""
    path = run / ANNOTATIONS
    try:
        with suppress(FileExistsError):
            disk.File(path, new=True).close()
            disk.flush_folder(run)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _lock(descriptor, path)
            yield path
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RunError(
            f"nothing was noted: {path} can't be written ({error.strerror}); free some space, or "
            "ask for the right to write there"
        ) from error


def _lock(descriptor: int, path: Path) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise RunError(f"nothing was noted: another process writes {path}") from None
            time.sleep(0.01)

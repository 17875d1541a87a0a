"""Survey: every file that may hold rows of a run, what can be read of it, and what is wrong.

Unlike a reader it lists the folders, so that it knows of files that no manifest names, and it goes
on where a file is damaged. It changes nothing, and a run may be surveyed while it is written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from results import disk
from results.errors import RunError
from results.folder import (
    DESCRIPTION,
    FOLDERS,
    JOURNALS,
    MANIFESTS,
    POINTER,
    SEGMENTS,
    read_description,
)
from results.journal import JournalContent, decode, parse_journal, salvage
from results.lock import is_locked
from results.manifest import Manifest, checked_manifest, manifest_file
from results.schema import Ask, RowKey, TrialRow, check_schema_version, schema_version
from results.segments import Segment, parse_segment

ATTEMPTS = 20  # a writer may publish while its run is surveyed
NUMBERED = re.compile(r"([0-9]{6,})\.(?:json|log|parquet)")
TEMPORARY = re.compile(r"\..*\.(?:tmp|[0-9]+)|trial-.*\.[0-9]+")  # a number is of a process


class Mark(NamedTuple):
    """What tells a row apart, and its place among the run's events."""

    trial: int
    seed: int
    rung: int
    attempt: int
    state: str
    asked_at: int
    told_at: int
    key: str
    origin: str

    @property
    def identity(self) -> RowKey:
        """That of the row."""
        return self[:4]

    @classmethod
    def of(cls, row: TrialRow) -> Mark:
        """That of a row in memory."""
        return cls(*(getattr(row, name) for name in cls._fields))


@dataclass(slots=True)
class Part:
    """A segment or journal: what can be read of it. `trouble` is None where all of it is right."""

    file: str  # relative to the run
    size: int  # bytes
    sha256: str
    marks: list[Mark] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    trouble: str | None = None
    newer: bool = False  # whether the trouble is that a newer attnas wrote it
    proven: bool = True  # whether a checksum of every byte says so, not those of pages alone
    torn: int = 0  # bytes of a record that was begun, at the end of a journal
    version: int | None = None  # of a segment's schema

    @property
    def is_segment(self) -> bool:
        """Or else a journal."""
        return self.file.startswith(f"{SEGMENTS}/")


@dataclass(slots=True)
class Survey:
    """A run's files at one instant."""

    run: Path
    live: bool  # whether a writer has it open
    description: str | None = None  # what is wrong with it
    pointer: str | None = None  # what is wrong with it
    manifest: Manifest | None = None  # the one in force; the newest readable where none is
    manifests: dict[int, Manifest] = field(default_factory=dict)  # every readable one
    damaged_manifests: dict[str, str] = field(default_factory=dict)  # by file, what is wrong
    pointed: int | None = None  # the number that the pointer has
    pointed_sha256: str | None = None  # likewise
    parts: dict[str, Part] = field(default_factory=dict)  # by file; also those that are gone
    temporaries: list[str] = field(default_factory=list)  # files, relative to the run

    @property
    def in_force(self) -> list[Part]:
        """Segments in order and the journal, of the manifest."""
        if self.manifest is None:
            return []
        files = [*(segment.file for segment in self.manifest.segments), self.manifest.journal]
        return [self.parts[file] for file in files]

    @property
    def is_sure(self) -> bool:
        """Whether pointer and manifest say which files are in force."""
        return self.pointed is not None and self.pointed in self.manifests

    @property
    def is_whole(self) -> bool:
        """Whether a reader gets every row."""
        return self.is_sure and not any(part.trouble for part in self.in_force)

    @property
    def leftovers(self) -> list[str]:
        """Files that neither the manifest in force nor the one before it names."""
        if self.manifest is None or not self.is_sure:
            return []
        named = {*self.manifest.files, *self.manifest.outdated}
        there = {manifest_file(number) for number in self.manifests} | {*self.damaged_manifests}
        there |= {file for file, part in self.parts.items() if part.size >= 0}
        return sorted(there - named)


def survey(run: Path) -> Survey:
    """Look at everything; RunError where the folder holds nothing of a run."""
    if not any((run / name).exists() for name in (POINTER, MANIFESTS, DESCRIPTION)):
        raise RunError(
            f"{run} holds no run: it has no {DESCRIPTION}, no {POINTER} and no {MANIFESTS}/"
        )
    for _ in range(ATTEMPTS - 1):
        before = _bytes(run / POINTER)
        found = _survey(run)
        if not found.live or (found.is_whole or _bytes(run / POINTER) == before):
            return found
    return _survey(run)


def _survey(run: Path) -> Survey:
    found = Survey(run, live=is_locked(run) is True)
    try:
        read_description(run)
    except (RunError, OSError) as error:
        found.description = str(error)
    _find_manifests(found)
    checksums = _checksums(found)
    files = [f"{SEGMENTS}/{name}" for name in _numbered(run, SEGMENTS)]
    files += [f"{JOURNALS}/{name}" for name in _numbered(run, JOURNALS)]
    if found.manifest is not None:
        files += [*checksums, found.manifest.journal]
    named = set() if found.manifest is None else {*found.manifest.files}
    for file in dict.fromkeys(files):
        if file not in named and not (run / file).exists():
            continue
        found.parts[file] = _part(run, file, checksums.get(file))
    for folder in ("", *FOLDERS):
        names = (name for name in disk.names(run / folder) if _is_temporary(name))
        found.temporaries += [f"{folder}/{name}" if folder else name for name in names]
    return found


def _find_manifests(found: Survey) -> None:
    """Pointer and manifests; the one in force, or else the newest that can be read."""
    try:
        pointer = decode(disk.read(found.run / POINTER).removesuffix(b"\n"))
        if pointer is None:
            found.pointer = f"{POINTER} is damaged: its checksum differs"
        else:
            found.pointed, found.pointed_sha256 = pointer["manifest"], pointer["sha256"]
    except OSError as error:
        found.pointer = f"{POINTER} can't be read: {error.strerror}"
    number = found.pointed
    there = [int(name.partition(".")[0]) for name in _numbered(found.run, MANIFESTS)]
    if number is not None:
        there.append(number)
    for each in sorted(set(there)):
        try:
            sha256 = found.pointed_sha256 if each == number else None
            found.manifests[each] = checked_manifest(found.run, each, sha256)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and each != number:
                continue  # the writer removed it since the folder was listed
            found.damaged_manifests[manifest_file(each)] = f"can't be read: {error.strerror}"
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            found.damaged_manifests[manifest_file(each)] = "is damaged"
    newest = max(found.manifests, default=None) if number not in found.manifests else number
    found.manifest = None if newest is None else found.manifests[newest]


def _checksums(found: Survey) -> dict[str, Segment]:
    """What manifests know of segments, by file: the one in force has the last word."""
    last = [] if found.manifest is None else [found.manifest]
    every = [found.manifests[number] for number in sorted(found.manifests)] + last
    return {segment.file: segment for manifest in every for segment in manifest.segments}


def _part(run: Path, file: str, known: Segment | None) -> Part:
    try:
        data = disk.read(run / file)
    except FileNotFoundError:
        return Part(file, -1, "", trouble="is not there")
    except OSError as error:
        return Part(file, -1, "", trouble=f"can't be read: {error.strerror}")
    part = Part(file, len(data), hashlib.sha256(data).hexdigest())
    if part.is_segment:
        _look_at_segment(part, data, known)
    else:
        _look_at_journal(part, data)
    return part


def _look_at_segment(part: Part, data: bytes, known: Segment | None) -> None:
    if known is not None and known.sha256 != part.sha256:
        part.trouble = "is damaged: its checksum differs"
        return
    part.proven = known is not None
    try:
        table = parse_segment(data)
        check_schema_version(table, part.file)
        part.marks = marks_of(table)
    except RunError as error:
        part.trouble, part.newer = f"can't be read here: {error}", True
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        part.trouble = f"is damaged: {str(error).partition(chr(10))[0]}"
    else:
        part.version = schema_version(table)
        if known is not None and known.rows != len(part.marks):
            part.trouble = f"has {len(part.marks)} rows, but its manifest says {known.rows}"


def marks_of(table: pa.Table) -> list[Mark]:
    """Those of a segment's rows, whatever version laid it out."""
    zeros = [0] * table.num_rows  # of runs before there were rungs
    columns = (
        table[name].to_pylist() if name in table.column_names else zeros for name in Mark._fields
    )
    return [Mark(*values) for values in zip(*columns, strict=True)]


def _look_at_journal(part: Part, data: bytes) -> None:
    content = parse_journal(data)
    records = content.records if content.damaged is None else salvage(data)
    part.torn = len(content.rest) if content.damaged is None else 0
    part.trouble = _damage_of(content)
    rows, part.asks, strange = parse_records(records)
    part.marks = [Mark.of(row) for row in rows]
    if strange and part.trouble is None:
        part.trouble = f"has {strange} records that this attnas does not know; upgrade attnas"
        part.newer = True


def _damage_of(content: JournalContent) -> str | None:
    if content.damaged is None:
        return None
    after = "good ones follow it" if content.good_after else "it is the last one"
    return f"is damaged: record {content.damaged} has another checksum, and {after}"


def parse_records(
    records: Iterable[Mapping[str, Any]],
) -> tuple[list[TrialRow], list[Ask], int]:
    """Rows and asks of a journal's records, and how many are neither."""
    rows: list[TrialRow] = []
    asks: list[Ask] = []
    strange = 0
    for record in records:
        try:
            if "ask" in record:
                asks.append(Ask(**record["ask"]))
            else:
                rows.append(TrialRow.from_plain(record["row"]))
        except (TypeError, ValueError, LookupError):
            strange += 1
    return rows, asks, strange


def missing_numbers(there: Iterable[int]) -> list[tuple[int, int]]:
    """The gaps between 0 and the largest, each as its first and last number."""
    gaps: list[tuple[int, int]] = []
    expected = 0
    for number in sorted(set(there)):
        if number > expected:
            gaps.append((expected, number - 1))
        expected = number + 1
    return gaps


def _numbered(run: Path, folder: str) -> Iterator[str]:
    return (name for name in disk.names(run / folder) if NUMBERED.fullmatch(name))


def _is_temporary(name: str) -> bool:
    """Of `write_atomic`, of weights that were written beside, or of a probe for free space."""
    return TEMPORARY.fullmatch(name) is not None


def _bytes(file: Path) -> bytes | None:
    try:
        return disk.read(file)
    except OSError:
        return None

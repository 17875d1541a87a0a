"""Checkup: what is right and what is wrong with a run's files, in sentences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from results import disk
from results.folder import CONFIG, FOLDERS, INBOX, POINTER, QUARANTINE
from results.heartbeat import read_heartbeat
from results.inbox import inbox_files, read_result
from results.manifest import manifest_file
from results.survey import Mark, Survey, missing_numbers

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; a problem keeps somebody from the run or its rows."""

    level: Level
    subject: str
    said: str


def checkup(found: Survey) -> list[Finding]:
    """Everything that was looked at, most important first."""
    run = found.run
    return [
        *_description(found),
        *_pointer(found),
        *_rows(found),
        *_keys(found),
        *_inbox(found),
        *_weights(run, found),
        *_files(found),
        *_writer(run, found.live),
    ]


def _description(found: Survey) -> Iterator[Finding]:
    if found.description is None:
        yield Finding("ok", "description", "run.json is whole")
    else:
        yield Finding("problem", "description", found.description)
    if not (found.run / CONFIG).is_file():
        yield Finding("warning", "description", f"there is no {CONFIG}; run.json has its content")
    if lacking := [name for name in FOLDERS if not (found.run / name).is_dir()]:
        yield Finding("warning", "folders", f"there is no {', '.join(lacking)}")


def _pointer(found: Survey) -> Iterator[Finding]:
    if found.pointer is not None:
        yield Finding("problem", "manifest", found.pointer)
    for file, trouble in found.damaged_manifests.items():
        in_force = found.pointed is not None and file == manifest_file(found.pointed)
        yield Finding("problem" if in_force else "warning", "manifest", f"{file} {trouble}")
    if found.is_sure and found.manifest is not None:
        count = len(found.manifest.segments)
        yield Finding(
            "ok", "manifest", f"{POINTER} and {found.manifest.file} are whole and name "
            f"{many(count, 'segment')} and {found.manifest.journal}",
        )  # fmt: skip


def _rows(found: Survey) -> Iterator[Finding]:
    parts = found.in_force
    for part in parts:
        if part.trouble is not None:
            yield Finding("problem", "rows", f"{part.file} {part.trouble}")
    segments = [part for part in parts if part.is_segment and part.trouble is None]
    journals = [part for part in parts if not part.is_segment and part.trouble is None]
    if parts:
        held = sum(len(part.marks) for part in segments)
        said = f"{many(held, 'row')} in {many(len(segments), 'segment')}"
        for part in journals:
            said += f" and {len(part.marks):,} in the journal"
        whole = len(segments) + len(journals) == len(parts)
        yield Finding("ok", "rows", said + (", every checksum right" if whole else " are right"))
    versions = sorted({part.version for part in segments if part.version is not None})
    if versions:
        said = ", ".join(str(version) for version in versions)
        yield Finding("ok", "rows", f"written by row schema {said}, which this attnas reads")
    for part in journals:
        if part.torn and not found.live:
            yield Finding(
                "warning", "rows", f"{part.file} ends in {part.torn} bytes of a record that nobody "
                "was told of; whoever writes next cuts them off",
            )  # fmt: skip


def _keys(found: Survey) -> Iterator[Finding]:
    marks = [mark for part in found.in_force for mark in part.marks]
    asks = [ask for part in found.in_force for ask in part.asks]
    wrong = list(_contradictions(marks))
    for identity, count in Counter(mark.identity for mark in marks).items():
        if count > 1:
            trial, seed, rung, attempt = identity
            wrong.append(
                f"trial {trial} has {count} rows of seed {seed}, rung {rung}, attempt {attempt}"
            )
    keys = {(mark.trial, mark.seed): mark.key for mark in marks}
    wrong += [
        f"the row of trial {ask.trial} is of another design than its ask"
        for ask in asks
        if keys.get((ask.trial, ask.seed), ask.key) != ask.key
    ]
    for said in wrong:
        yield Finding("problem", "keys", said)
    if marks and not wrong:
        yield Finding("ok", "keys", "no row is there twice, and each repeats the key of its ask")
    there = {mark.told_at for mark in marks} | {ask.ordinal for ask in asks}
    gaps = missing_numbers(there | {mark.asked_at for mark in marks if mark.asked_at >= 0})
    if gaps and found.is_whole:
        said = f"of the run's events, {ranges(gaps)} are missing: rows or asks were lost once"
        yield Finding("ok", "keys", said)


def _contradictions(marks: list[Mark]) -> Iterator[str]:
    """Rows that can't both be told at one place, or be of one ask."""
    told: dict[int, Mark] = {}
    asked: dict[int, Mark] = {}
    for mark in marks:
        other = told.setdefault(mark.told_at, mark)
        if other.identity != mark.identity:
            yield f"trials {other.trial} and {mark.trial} were both told as event {mark.told_at}"
        if mark.asked_at < 0:
            continue
        other = asked.setdefault(mark.asked_at, mark)
        if (other.trial, other.seed, other.key) != (mark.trial, mark.seed, mark.key):
            yield f"trials {other.trial} and {mark.trial} answer the same ask, {mark.asked_at}"


def bad_results(run: Path) -> list[Path]:
    """Files in the inbox that are no row: torn, damaged or foreign."""
    return [file for file in inbox_files(run) if not _is_result(file)]


def _is_result(file: Path) -> bool:
    try:
        return read_result(file) is not None
    except (ValueError, OSError):
        return False


def _inbox(found: Survey) -> Iterator[Finding]:
    if found.live:
        return
    bad = bad_results(found.run)
    waiting = len(inbox_files(found.run)) - len(bad)
    if waiting:
        said = f"{many(waiting, 'result')} of workers wait for whoever writes next"
        yield Finding("ok", "inbox", said)
    for file in bad:
        yield Finding("warning", "inbox", f"{INBOX}/{file.name} is damaged or no result")


def _weights(run: Path, found: Survey) -> Iterator[Finding]:
    folder = run / "checkpoints"
    files = [folder / name for name in disk.names(folder) if name.endswith(".safetensors")]
    damaged: set[str] = set()
    for file in files:
        try:
            trouble = safetensors_trouble(file)
        except OSError as error:  # a live run removes those that nobody needs
            trouble = None if found.live else f"it can't be read: {error.strerror}"
        if trouble is not None:
            damaged.add(file.name)
            said = f"checkpoints/{file.name} is damaged: {trouble}; the rows don't need it"
            yield Finding("warning", "weights", said)
    complete = {
        (mark.trial, mark.attempt)
        for part in found.in_force
        for mark in part.marks
        if mark.state == "complete"
    }
    there = {file.name for file in files}
    kept = {(t, a) for t, a in complete if f"trial-{t}-{a}.safetensors" in there - damaged}
    said = f"the weights of {len(kept):,} of {many(len(complete), 'complete trial')} are there"
    lacking = complete - kept
    if not complete:
        return
    if kept and lacking:
        trials = sorted(trial for trial, _ in lacking)
        said += f"; not those of {ranges([(trial, trial) for trial in trials])}, which can only be "
        yield Finding("warning", "weights", said + "exported with --weights none")
    else:
        yield Finding("ok", "weights", said)


def safetensors_trouble(file: Path) -> str | None:
    """What is wrong with the header or the length of a file of weights."""
    size = file.stat().st_size
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = opened.read(length) if length <= size - 8 else b""
    try:
        ends = [entry["data_offsets"][1] for name, entry in json.loads(header).items()
                if name != "__metadata__"]  # fmt: skip
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "its header is damaged"
    wanted = 8 + length + max(ends, default=0)
    return None if wanted == size else f"it has {size:,} bytes, but its header says {wanted:,}"


def _files(found: Survey) -> Iterator[Finding]:
    if not found.live:
        left = [found.run / file for file in found.leftovers if (found.run / file).is_file()]
        if left:
            size = sum(file.stat().st_size for file in left)
            said = f"left over from a crash or an older attnas, in no manifest ({size:,} bytes): "
            said += ", ".join(str(file.relative_to(found.run)) for file in left[:8])
            more = f" and {len(left) - 8:,} more" if len(left) > 8 else ""
            yield Finding("warning", "files", said + more)
        for file in found.temporaries:
            yield Finding("warning", "files", f"{file} was never finished")
    aside = disk.names(found.run / QUARANTINE)
    if aside:
        size = sum((found.run / QUARANTINE / name).stat().st_size for name in aside)
        said = f"{many(len(aside), 'file')} set aside ({size:,} bytes); attnas never reads them"
        yield Finding("ok", QUARANTINE, said)


def _writer(run: Path, live: bool) -> Iterator[Finding]:
    if live:
        yield Finding("ok", "driver", "a driver has the run open; what it changes meanwhile is not "
                      "judged")  # fmt: skip
        return
    beat = read_heartbeat(run)
    said = {
        "finished": "the search is finished",
        "stopped": f"its driver was stopped; attnas resume {run} goes on",
        "silent": f"its driver died; attnas resume {run} goes on",
    }.get(beat.state, "no driver has reported")
    yield Finding("ok", "driver", f"nobody has the run open; {said}")


def many(count: int, what: str) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def ranges(gaps: list[tuple[int, int]], most: int = 12) -> str:
    """`3, 5 to 9`."""
    said = [str(first) if first == last else f"{first} to {last}" for first, last in gaps]
    return ", ".join(said[:most]) + (f" and {len(said) - most} more" if len(said) > most else "")

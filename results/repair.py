"""Repair: what is done about a damaged run, each step said in a sentence; nothing is ever deleted.

A flipped bit is turned back where a checksum proves it. Where that is not enough, a new manifest is
published of all that is whole. What it does not name goes to quarantine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from results import disk
from results.bits import first_right, mended_journal, turned_back
from results.checkup import bad_results, many, ranges
from results.errors import RunError
from results.files import set_aside, write_atomic
from results.folder import (
    CONFIG,
    DESCRIPTION,
    FOLDERS,
    JOURNALS,
    POINTER,
    QUARANTINE,
    checksum_of,
    read_description,
)
from results.gathering import Gathered, gather
from results.journal import decode, encode
from results.lock import RunLock
from results.manifest import Manifest, manifest_file, publish
from results.survey import NUMBERED, Part, Survey, missing_numbers, survey


def repair(run: Path) -> list[str]:
    """Mend what can be mended and say what was done; RunError while a writer has the run open."""
    survey(run)  # RunError before anything is made in a folder that holds no run
    lock = RunLock(run)
    try:
        return list(_repaired(run))
    finally:
        lock.release()


def _repaired(run: Path) -> Iterator[str]:
    for folder in FOLDERS:
        if not (run / folder).is_dir():
            disk.make_folder(run / folder)
            yield f"{folder}/ was not there; made an empty one"
    found = survey(run)
    _refuse_newer(found)
    if found.description is not None:
        yield from _mend_description(run)
    elif not (run / CONFIG).exists():
        config = json.dumps(read_description(run)["config"], indent=1)  # JSON is YAML
        write_atomic(run / CONFIG, f"# from {DESCRIPTION}\n{config}\n".encode())
        yield f"{CONFIG} was not there; written again from {DESCRIPTION}"
    while mended := [*_turn_bits_back(found)]:  # a pointer leads to a manifest, that to segments
        yield from mended
        found = survey(run)
    if not found.is_whole or _contradicts_itself(found):
        yield from _rebuild(found)
        found = survey(run)
    for part in found.in_force:
        if part.torn:
            yield _cut_off(run, part)
    yield from _clear_away(found)


def _refuse_newer(found: Survey) -> None:
    """What this attnas does not know is no damage."""
    file = found.run / DESCRIPTION
    if found.description is not None and file.exists() and _is_description(disk.read(file)):
        raise RunError(found.description)
    for part in found.in_force:
        if part.newer:
            raise RunError(f"{found.run / part.file} {part.trouble}")


def _cut_off(run: Path, part: Part) -> str:
    """The beginning of a record, as a writer does it, and a copy of it is kept."""
    data = disk.read(run / part.file)
    copy = set_aside(run / part.file, run / QUARANTINE, data[-part.torn :])
    write_atomic(run / part.file, data[: -part.torn])
    return (
        f"{part.file} ended in {part.torn} bytes of a record that nobody was told of; they are in "
        f"{QUARANTINE}/{copy.name}"
    )


def _mend_description(run: Path) -> Iterator[str]:
    file = run / DESCRIPTION
    if not file.exists():
        return
    data = disk.read(file)
    mended = first_right(data, _is_description)
    if mended is not None:
        copy = set_aside(file, run / QUARANTINE)
        write_atomic(file, mended)
        yield _bit_said(DESCRIPTION, copy)


def _is_description(data: bytes) -> bool:
    """Whether it has a checksum and that is right: without one, anything might be."""
    try:
        plain = json.loads(data)
        return isinstance(plain, dict) and plain.get("sha256") == checksum_of(plain)
    except (ValueError, RecursionError):
        return False


def _bit_said(file: str, copy: Path) -> str:
    return (
        f"{file}: one bit was wrong; it is turned back, and the checksum is right again (the "
        f"damaged file is kept as {QUARANTINE}/{copy.name})"
    )


def _turn_bits_back(found: Survey) -> Iterator[str]:
    """What a checksum proves the flipped bit of: first what says which files are in force."""
    run = found.run
    if found.pointed is None or found.pointed_sha256 is None:
        if (run / POINTER).is_file():
            mended = first_right(disk.read(run / POINTER), _is_pointer)
            if mended is not None:
                yield _replace(run, POINTER, mended)
        return
    name = manifest_file(found.pointed)
    if name in found.damaged_manifests and (run / name).is_file():
        mended = turned_back(disk.read(run / name), found.pointed_sha256)
        if mended is not None:
            yield _replace(run, name, mended)
    if found.manifest is None or not found.is_sure:
        return
    named = {segment.file: segment for segment in found.manifest.segments}
    for part in found.in_force:
        if part.trouble is None or part.size < 0:
            continue
        data = disk.read(run / part.file)
        if part.is_segment:
            mended = turned_back(data, named[part.file].sha256, _damaged_columns(data))
        else:
            mended = mended_journal(data)
        if mended is not None and mended != data:
            yield _replace(run, part.file, mended)


def _is_pointer(data: bytes) -> bool:
    return decode(data.removesuffix(b"\n")) is not None


def _replace(run: Path, name: str, data: bytes) -> str:
    copy = set_aside(run / name, run / QUARANTINE)
    write_atomic(run / name, data)
    return _bit_said(name, copy)


def _damaged_columns(data: bytes) -> list[range]:
    """Where columns are whose pages do not have their checksum."""
    places: list[range] = []
    try:
        parquet = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        for group in range(parquet.metadata.num_row_groups):
            for index in range(parquet.metadata.num_columns):
                column = parquet.metadata.row_group(group).column(index)
                start = column.dictionary_page_offset or column.data_page_offset
                stretch = range(start, start + column.total_compressed_size)
                try:
                    parquet.read_row_group(group, [column.path_in_schema], use_threads=False)
                except (pa.ArrowException, OSError, ValueError):
                    if 0 <= stretch.start < stretch.stop <= len(data):
                        places.append(stretch)
    except (pa.ArrowException, OSError, ValueError):  # the footer; so it may be anywhere
        return []
    return places


def _contradicts_itself(found: Survey) -> bool:
    """Whether a row is there twice among the files in force."""
    identities = [mark.identity for part in found.in_force for mark in part.marks]
    return len(identities) > len(set(identities))


def _rebuild(found: Survey) -> Iterator[str]:
    """Publish a manifest of all that is whole."""
    run, made = found.run, gather(found)
    if (run / POINTER).exists() and found.pointer is not None:
        set_aside(run / POINTER, run / QUARANTINE)
    number = 1 + max(_numbers(run), default=-1)
    manifest = Manifest(number, tuple(made.segments), f"{JOURNALS}/{number:06d}.log")
    write_atomic(run / manifest.journal, b"".join(encode(record) for record in made.records))
    publish(run, manifest)
    for part in found.in_force:
        if part.trouble is not None:
            yield f"{part.file} {part.trouble}; the run goes on without it"
    yield (
        f"{manifest_file(number)} now names {many(len(made.segments), 'segment')} and a journal of "
        f"{many(len(made.rows), 'row')} and {many(len(made.asks), 'trial')} to be run again: "
        f"{many(len(made.marks), 'row')} in all"
    )
    if made.added:
        yield f"{many(made.added, 'row')} of these were found in files that were not in force"
    if made.contradicting:
        yield (
            f"left out {many(made.contradicting, 'row')} or asks whose place among the run's "
            "events others have: nobody was ever told that they are stored"
        )
    yield from _losses(found, made)


def _numbers(run: Path) -> Iterator[int]:
    for folder in FOLDERS:
        for name in disk.names(run / folder):
            if NUMBERED.fullmatch(name):
                yield int(name.partition(".")[0])


def _losses(found: Survey, made: Gathered) -> Iterator[str]:
    """What is not there any more, as far as the files say."""
    named = {} if found.manifest is None else {s.file: s for s in found.manifest.segments}
    damaged = [part for part in found.in_force if part.trouble is not None]
    rows = sum(named[part.file].rows for part in damaged if part.file in named)
    lost = max(0, rows - made.added)
    trials = {mark.trial for mark in made.marks} | {ask.trial for ask in made.asks}
    gaps = missing_numbers(trials)
    if lost:
        yield f"{many(lost, 'row')} of {_files(damaged)} are lost"
    if gaps:
        yield (
            f"nothing is left of trials {ranges(gaps)}; attnas resume {found.run} goes on after "
            "the last one and does not train them again"
        )
    places = {mark.told_at for mark in made.marks} | {ask.ordinal for ask in made.asks}
    missing = missing_numbers(places | {m.asked_at for m in made.marks if m.asked_at >= 0})
    if missing and not lost:
        yield f"of the run's events, {ranges(missing)} are missing"


def _files(parts: list[Part]) -> str:
    return " and ".join(part.file for part in parts if part.is_segment)


def _clear_away(found: Survey) -> Iterator[str]:
    """To quarantine: what no manifest names, what was never finished, what is no result."""
    run = found.run
    bad = [str(file.relative_to(run)) for file in bad_results(run)]
    for name in [*found.leftovers, *found.temporaries, *bad]:
        file = run / name
        if not file.is_file():
            continue
        size, where = file.stat().st_size, _free_name(run, file)
        disk.rename(file, where)
        disk.flush_folder(file.parent)
        disk.flush_folder(where.parent)
        yield f"moved {name} ({size:,} bytes) to {QUARANTINE}/{where.name}"


def _free_name(run: Path, file: Path) -> Path:
    disk.make_folder(run / QUARANTINE)
    taken = set(disk.names(run / QUARANTINE))
    names = (file.name if n == 1 else f"{file.name}.{n}" for n in range(1, 1_000_000))
    name = next((name for name in names if name not in taken), None)
    if name is None:
        raise RunError(f"{run / QUARANTINE} has a million files called {file.name}; move them away")
    return run / QUARANTINE / name

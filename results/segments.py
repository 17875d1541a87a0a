"""Segments: immutable Parquet files of rows, checksummed as a whole and page by page."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from results import disk
from results.errors import RunError
from results.files import write_atomic
from results.folder import SEGMENTS
from results.schema import (
    SCHEMA_VERSION,
    VERSION_KEY,
    TrialRow,
    check_schema_version,
    rows_to_table,
)

SMALLEST = 1000  # rows; smaller segments are of one size with those that have so many
MERGED = 8  # so many neighbours of one size become one


@dataclass(frozen=True, slots=True)
class Segment:
    """An immutable Parquet file of rows; `file` is relative to the run."""

    file: str
    rows: int
    sha256: str


def with_rows(
    run: Path, number: int, segments: Sequence[Segment], rows: Sequence[TrialRow]
) -> tuple[Segment, ...]:
    """The segments and one more, on disk when this returns; the last ones are merged into it
    where there are many of its size.

    So every row is written again a few times at most, and the number of segments grows as the
    logarithm of the number of rows (log-structured merge trees, O'Neil et al. 1996).
    """
    kept = len(segments) - _mergeable(segments, len(rows))
    tables = [read_segment(run, segment) for segment in segments[kept:]]
    table = pa.concat_tables([*tables, rows_to_table(rows)], promote_options="default")
    return *segments[:kept], write_segment(run, number, table)


def _mergeable(segments: Sequence[Segment], rows: int) -> int:
    """How many of the last segments go into one with so many new rows."""
    left = len(segments)
    while True:
        first, size = left, _size(rows)
        while first and _size(segments[first - 1].rows) == size:
            first -= 1
        if left - first < MERGED - 1:
            return len(segments) - left
        rows += sum(segment.rows for segment in segments[first:left])
        left = first


def _size(rows: int) -> int:
    """The class of size of a segment: `MERGED` of one class make one of the next."""
    return int(math.log(max(rows, SMALLEST) / SMALLEST, MERGED) + 1e-9)


def write_segment(run: Path, number: int, table: pa.Table) -> Segment:
    """The rows as a new Parquet file, on disk when this returns."""
    table = table.replace_schema_metadata({VERSION_KEY: str(SCHEMA_VERSION)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    data = buffer.getvalue()
    file = f"{SEGMENTS}/{number:06d}.parquet"
    write_atomic(run / file, data)
    return Segment(file, table.num_rows, hashlib.sha256(data).hexdigest())


def read_segment(
    run: Path,
    segment: Segment,
    columns: Collection[str] | None = None,
    without: Collection[str] = (),
) -> pa.Table:
    """The rows of a segment, refused where a single bit of the file has changed."""
    file = run / segment.file
    data = disk.read(file)
    check_sum(file, data, segment.sha256)
    table = parse_segment(data, columns, without)
    check_schema_version(table, str(file))
    return table


def parse_segment(
    data: bytes, columns: Collection[str] | None = None, without: Collection[str] = ()
) -> pa.Table:
    """The rows in the bytes of a Parquet file, its pages checked; all columns if none is named."""
    # One thread: a process that also loaded torch may abort at its exit while Arrow's pools start.
    parquet = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    wanted = columns or parquet.schema_arrow.names
    names = [n for n in parquet.schema_arrow.names if n in wanted and n not in without]
    return parquet.read(columns=names, use_threads=False)


def check_sum(file: Path, data: bytes, sha256: str) -> None:
    """RunError where the bytes are not those that were written."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RunError(
            f"{file} is damaged: its checksum differs; restore it from a backup, or let attnas "
            f"doctor {file.parents[1]} set it aside and keep the rest"
        )

"""Manifest: which files hold a run's rows at this instant, each with its checksum.

The pointer names the current manifest and its checksum, the manifest names the segments and
theirs, so that a flipped bit anywhere is noticed. Replacing the pointer is what publishes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from results.errors import RunError
from results.files import write_atomic
from results.folder import JOURNALS, MANIFESTS, POINTER, SEGMENTS
from results.journal import decode, encode
from results.schema import TrialRow, check_schema_version, rows_to_table


@dataclass(frozen=True, slots=True)
class Segment:
    """An immutable Parquet file of rows; `file` is relative to the run."""

    file: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The segments, in order, and the journal that goes on where they end."""

    number: int
    segments: tuple[Segment, ...]
    journal: str  # relative to the run

    @classmethod
    def numbered(cls, number: int, segments: Sequence[Segment]) -> Manifest:
        """The manifest whose files bear its number."""
        return cls(number, tuple(segments), f"{JOURNALS}/{number:06d}.log")


def publish(run: Path, manifest: Manifest) -> None:
    """Make `manifest` the current one; all files that it names must be there already."""
    data = json.dumps(asdict(manifest), indent=1).encode()
    write_atomic(run / MANIFESTS / f"{manifest.number:06d}.json", data)
    pointer = {"manifest": manifest.number, "sha256": hashlib.sha256(data).hexdigest()}
    write_atomic(run / POINTER, encode(pointer))


def read_manifest(run: Path) -> Manifest:
    """The current manifest; FileNotFoundError where a fold removed it since, so ask again."""
    pointer = decode((run / POINTER).read_bytes().rstrip(b"\n"))
    if pointer is None:
        raise RunError(f"{run / POINTER} is damaged; restore it from a backup")
    file = run / MANIFESTS / f"{pointer['manifest']:06d}.json"
    data = file.read_bytes()
    _check(file, data, pointer["sha256"])
    plain = json.loads(data)
    segments = tuple(Segment(**segment) for segment in plain["segments"])
    return Manifest(plain["number"], segments, plain["journal"])


def write_segment(run: Path, number: int, rows: Sequence[TrialRow]) -> Segment:
    """The rows as a new Parquet file, on disk when this returns."""
    buffer = io.BytesIO()
    pq.write_table(rows_to_table(rows), buffer, compression="zstd", write_page_checksum=True)
    data = buffer.getvalue()
    file = f"{SEGMENTS}/{number:06d}.parquet"
    write_atomic(run / file, data)
    return Segment(file, len(rows), hashlib.sha256(data).hexdigest())


def read_segment(run: Path, segment: Segment, columns: list[str] | None = None) -> pa.Table:
    """The rows of a segment, refused where a single bit of the file has changed."""
    file = run / segment.file
    data = file.read_bytes()
    _check(file, data, segment.sha256)
    # One thread: a process that also loaded torch may abort at its exit while Arrow's pools start.
    parquet = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    table = parquet.read(columns=columns, use_threads=False)
    check_schema_version(table, str(file))
    return table


def _check(file: Path, data: bytes, sha256: str) -> None:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RunError(f"{file} is damaged: its checksum differs; restore it from a backup")

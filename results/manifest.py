"""Manifest: which files hold a run's rows at this instant, each with its checksum.

The pointer names the current manifest and its checksum, the manifest names the segments and
theirs, so that a flipped bit anywhere is noticed. Replacing the pointer is what publishes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from results import disk
from results.errors import RunError
from results.files import write_atomic
from results.folder import JOURNALS, MANIFESTS, POINTER
from results.journal import decode, encode
from results.segments import Segment, check_sum


@dataclass(frozen=True, slots=True)
class Manifest:
    """The segments, in order, and the journal that goes on where they end."""

    number: int
    segments: tuple[Segment, ...]
    journal: str  # relative to the run
    outdated: tuple[str, ...] = ()  # files that the one before named; the next one removes them

    @classmethod
    def first(cls) -> Manifest:
        """That of a new run."""
        return cls(0, (), f"{JOURNALS}/{0:06d}.log")

    @property
    def file(self) -> str:
        """Where it is kept, relative to the run."""
        return manifest_file(self.number)

    def followed_by(self, segments: Sequence[Segment]) -> Manifest:
        """The next one, with these segments and a journal of its own."""
        number = self.number + 1
        names = {segment.file for segment in segments}
        gone = [segment.file for segment in self.segments if segment.file not in names]
        outdated = (self.file, self.journal, *gone)
        return Manifest(number, tuple(segments), f"{JOURNALS}/{number:06d}.log", outdated)

    @property
    def files(self) -> Iterator[str]:
        """Every file that a reader needs, itself included."""
        yield self.file
        yield from (segment.file for segment in self.segments)
        yield self.journal


def manifest_file(number: int) -> str:
    """Where a manifest is kept, relative to the run."""
    return f"{MANIFESTS}/{number:06d}.json"


def publish(run: Path, manifest: Manifest) -> None:
    """Make `manifest` the current one; all files that it names must be there already."""
    data = json.dumps(asdict(manifest), indent=1).encode()
    write_atomic(run / manifest.file, data)
    pointer = {"manifest": manifest.number, "sha256": hashlib.sha256(data).hexdigest()}
    write_atomic(run / POINTER, encode(pointer))


def read_manifest(run: Path) -> Manifest:
    """The current manifest; FileNotFoundError where a fold removed it since, so ask again."""
    file = run / POINTER
    pointer = decode(disk.read(file).removesuffix(b"\n"))
    if pointer is None:
        raise RunError(f"{file} is damaged; attnas doctor {run} rebuilds it from the files there")
    return checked_manifest(run, pointer["manifest"], pointer["sha256"])


def checked_manifest(run: Path, number: int, sha256: str | None) -> Manifest:
    """The manifest of this number, which must have the checksum where one is known."""
    file = run / manifest_file(number)
    data = disk.read(file)
    if sha256 is not None:
        check_sum(file, data, sha256)
    plain = json.loads(data)
    return Manifest(
        plain["number"],
        tuple(Segment(**segment) for segment in plain["segments"]),
        plain["journal"],
        tuple(plain.get("outdated", ())),
    )

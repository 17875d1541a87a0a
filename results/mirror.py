"""Mirror: a run's folder pushed to an object store while it is written, for readers elsewhere.

The folder stays the truth. A push is a whole state of the run: weights, segments, a copy of the
journal, a manifest that names them, and last the pointer. Each has a name of its own and is never
written twice but the pointer, the status and the few files beside them, so a reader sees one state
or the next. What a state no longer names is removed by the push after the next.

The run's `mirror` folder keeps the last manifests that were pushed. The pointer in the store must
be of one of them: otherwise another driver went on from there, and this one pushes nothing more.
What Arrow can't rule out: two drivers that look and push in the same moment. Then the later
pointer stands, the other driver finds that out at its next push, and where both wrote an object of
one name, readers refuse it by its checksum.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from results import disk
from results.errors import RunError
from results.files import write_atomic
from results.folder import (
    DESCRIPTION,
    JOURNALS,
    LOCK,
    MANIFESTS,
    POINTER,
    SEGMENTS,
    STATUS,
    lacks,
    read_description,
)
from results.journal import decode, parse_journal
from results.lock import RunLock
from results.manifest import Manifest, checked_manifest, publish, read_manifest
from results.object_store import ObjectStore, check_address, under
from results.segments import check_sum

MIRROR = "mirror"  # in a run's folder
STATE = "state.json"
WEIGHTS = "checkpoints"
TRAINED = re.compile(r"trial-\d+-\d+\.safetensors")  # of trials that ended
BESIDE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # files that a run's makers leave at its top
NOT_BESIDE = frozenset({DESCRIPTION, POINTER, STATUS, LOCK})
READ_ATTEMPTS = 20  # one fails only if the writer folded twice within it

Seen = tuple[int, int]  # size and time of change of a file


class Mirror:
    """Pushes one run's folder to `storage`/its name; from one thread."""

    def __init__(self, run: Path, storage: str) -> None:
        check_address(storage)
        self.run, self.storage = run, storage
        self.address = under(storage, run.resolve().name)
        self.objects = 0  # that were put, to see that a push moves
        self._shadow = run / MIRROR
        self._store: ObjectStore | None = None
        self._seen: dict[str, Seen] = {}  # files that change, as they were when pushed
        self._pushed: tuple[Manifest, int] | None = None  # what of the folder is in the store
        self._orphans: frozenset[str] = frozenset()  # of pushes that never came to their end
        if mirror_state(run).get("address") != self.address:
            self._forget()

    def push(self) -> None:
        """Bring the store to the folder's state; raises RunError, or what the store raises."""
        try:
            self._push(self._store or self._open())
        except BaseException:
            self.let_go()  # the next push looks at everything afresh
            raise

    def let_go(self) -> None:
        """Close the connection; a later push opens another."""
        self._store = self._pushed = None

    def _open(self) -> ObjectStore:
        store = ObjectStore(self.address)
        description = disk.read(self.run / DESCRIPTION)
        refuse_taken(store, description)
        store.put_if_absent(DESCRIPTION, description)
        self._seen.clear()
        folders = (MANIFESTS, SEGMENTS, JOURNALS)
        self._orphans = frozenset(f"{f}/{name}" for f in folders for name in store.files(f))
        for name, there in store.files(WEIGHTS).items():
            self._know_weights(f"{WEIGHTS}/{name}", there.size, there.written_at)
        self._store = store
        return store

    def _push(self, store: ObjectStore) -> None:
        manifest, journal = _state_of(self.run)
        self._put_changed(store)  # a trial's weights are there before its row is
        if self._pushed != (manifest, len(journal)):
            self._publish(store, manifest, journal)
            self._pushed = manifest, len(journal)
        with suppress(FileNotFoundError):
            self._put(store, STATUS, disk.read(self.run / STATUS))
        self._note(pushed_at=time.time(), problem=None)

    def _publish(self, store: ObjectStore, manifest: Manifest, journal: bytes) -> None:
        pointer, before = self._at_store(store)
        known = {segment.file: segment.sha256 for segment in before.segments}
        for segment in manifest.segments:
            if known.get(segment.file) != segment.sha256:
                data = disk.read(self.run / segment.file)
                check_sum(self.run / segment.file, data, segment.sha256)
                self._put_once(store, segment.file, data)
        number = max(manifest.number, before.number, *map(number_of, self._tried())) + 1
        new = replace(manifest, number=number, journal=f"{JOURNALS}/{number:06d}.log", outdated=())
        kept = {*new.files, *before.outdated}
        gone = ({*before.files} if pointer else set()) | self._orphans
        new = replace(new, outdated=tuple(sorted(gone - kept)))
        self._put_once(store, new.journal, journal)
        publish(self._shadow, new)  # so that this push is known as ours, however it ends
        self._put_once(store, new.file, disk.read(self._shadow / new.file))
        if _pointer_of(store) != pointer:
            raise self._another_driver()
        self._put(store, POINTER, disk.read(self._shadow / POINTER))
        store.remove(before.outdated)
        self._orphans = frozenset()
        for name in disk.names(self._shadow / MANIFESTS):
            if f"{MANIFESTS}/{name}" != new.file:
                disk.remove(self._shadow / MANIFESTS / name)

    def _at_store(self, store: ObjectStore) -> tuple[bytes | None, Manifest]:
        """The pointer in the store and its manifest, which must be of a push from this folder."""
        pointer = _pointer_of(store)
        if pointer is None:
            return None, Manifest.first()
        named = decode(pointer.removesuffix(b"\n"))
        if named is None:
            raise RunError(
                f"{POINTER} in {self.address} is damaged; remove that object, and push again"
            )
        try:
            manifest = checked_manifest(self._shadow, named["manifest"], named["sha256"])
        except (FileNotFoundError, RunError):
            raise self._another_driver() from None
        return pointer, manifest

    def _another_driver(self) -> RunError:
        return RunError(
            f"{self.address} holds a state that {self.run} did not push: another driver went on "
            f"from there; go on with that one (attnas resume {self.address}, from another folder), "
            "or give this run another name and start anew"
        )

    def _tried(self) -> list[str]:
        """Files of pushes, also of those that did not come to their end."""
        return [*disk.names(self._shadow / MANIFESTS), *self._orphans]

    def _put_changed(self, store: ObjectStore) -> None:
        """Files that no manifest names: what lies beside, and weights of trials that ended."""
        beside = [name for name in disk.names(self.run) if BESIDE.fullmatch(name)]
        weights = [name for name in disk.names(self.run / WEIGHTS) if TRAINED.fullmatch(name)]
        for name in [*beside, *(f"{WEIGHTS}/{name}" for name in weights)]:
            file = self.run / name
            if name in NOT_BESIDE or not file.is_file():
                continue
            with suppress(FileNotFoundError):
                about = file.stat()
                seen = about.st_size, about.st_mtime_ns
                if self._seen.get(name) != seen:
                    self._put(store, name, disk.read(file))
                    self._seen[name] = seen

    def _know_weights(self, name: str, size: int, written_at: float | None) -> None:
        """Take weights in the store for those here where neither size nor time says otherwise."""
        with suppress(FileNotFoundError):
            about = (self.run / name).stat()
            if written_at is not None and about.st_size == size and about.st_mtime < written_at:
                self._seen[name] = about.st_size, about.st_mtime_ns

    def _put(self, store: ObjectStore, name: str, data: bytes) -> None:
        store.put(name, data)
        self.objects += 1

    def _put_once(self, store: ObjectStore, name: str, data: bytes) -> None:
        store.put_if_absent(name, data)
        self.objects += 1

    def _forget(self) -> None:
        """Nothing of this folder was pushed to this address."""
        for name in disk.names(self._shadow / MANIFESTS):
            disk.remove(self._shadow / MANIFESTS / name)
        disk.remove(self._shadow / POINTER)
        remember_address(self.run, self.storage, self.address)

    def note_problem(self, problem: str) -> None:
        """What keeps the store from being up to date, for those who ask for the run's status."""
        self._note(problem=problem)

    def _note(self, **known: Any) -> None:
        state = {**mirror_state(self.run), **known}
        with suppress(OSError):  # advice; a push does not fail for it
            write_atomic(self._shadow / STATE, json.dumps(state).encode())


def remember_address(run: Path, storage: str, address: str) -> None:
    """From now on the run's folder belongs with this address."""
    disk.make_folder(run / MIRROR / MANIFESTS)
    state = {"storage": storage, "address": address}
    write_atomic(run / MIRROR / STATE, json.dumps(state).encode())


def mirror_state(run: Path) -> dict[str, Any]:
    """Where a run is pushed to (`storage`, `address`), `pushed_at`, `problem`; empty if nowhere."""
    try:
        state = json.loads(disk.read(run / MIRROR / STATE))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def push_run(run: str | Path, storage: str) -> str:
    """Push a run that no driver has open to `storage`; its address there, for other machines.

    Again pushes what is new. Drivers that resume the run push on.
    """
    read_description(Path(run))  # says so if it is no run
    lock = RunLock(Path(run))
    try:
        mirror = Mirror(Path(run), storage)
        mirror.push()
        mirror.let_go()
    finally:
        lock.release()
    return mirror.address


def refuse_taken(store: ObjectStore, description: bytes | None = None) -> None:
    """RunError where the store's folder holds another run than the one described."""
    try:
        there = store.read(DESCRIPTION)
    except FileNotFoundError:
        return
    if there != description:
        raise RunError(
            f"{store.address} already holds another run; choose another --name, or another storage"
        )


def number_of(file: str) -> int:
    """That of a manifest, a journal or a segment; 0 for what is none."""
    number = file.rpartition("/")[2].partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _pointer_of(store: ObjectStore) -> bytes | None:
    try:
        return store.read(POINTER)
    except FileNotFoundError:
        return None


def _state_of(run: Path) -> tuple[Manifest, bytes]:
    """The manifest and the whole records of its journal, at one instant."""
    for attempt in range(READ_ATTEMPTS):
        try:
            manifest = read_manifest(run)
            journal = disk.read(run / manifest.journal)
        except FileNotFoundError as error:
            if attempt == READ_ATTEMPTS - 1:
                raise lacks(run, error) from None
            time.sleep(0.01)
            continue
        return manifest, journal[: parse_journal(journal).good_bytes]
    raise AssertionError("unreachable")

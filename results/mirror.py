"""Mirror: a run's folder pushed to an object store while it is written, for readers elsewhere.

The folder stays the truth. A push is a whole state of the run: weights, segments, a copy of the
journal, a manifest that names them, and last the pointer. Each has a name of its own and is never
written twice but the pointer, the status and the few files beside them, so a reader sees one state
or the next. What a state no longer names is removed by the push after the next.

The run's `mirror` folder keeps the last manifests that were pushed. The pointer in the store must
be of one of them: otherwise another driver went on from there, and this one pushes nothing more.
That folder has a lock of its own: a driver still pushes when the next one has the run open already.
What Arrow can't rule out: two drivers that look and push in the same moment. Then the later
pointer stands, the other driver finds that out at its next push, and where both wrote an object of
one name, readers refuse it by its checksum.
"""

from __future__ import annotations

import errno
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    read_description,
)
from results.journal import decode
from results.lock import RunLock
from results.manifest import Manifest, checked_manifest, publish
from results.mirror_state import MIRROR, STATE, mirror_state, remember_address, state_of
from results.object_store import ObjectStore, check_address, under
from results.segments import check_sum

WEIGHTS = "checkpoints"
TRAINED = re.compile(r"trial-\d+-\d+\.safetensors")  # of trials that ended
BESIDE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # files that a run's makers leave at its top
NOT_BESIDE = frozenset({DESCRIPTION, POINTER, STATUS, LOCK})
REPORT_S = 5.0  # between reports of a push that takes long; readers wait for one for 30 s

Seen = tuple[int, int]  # size and time of change of a file


class FolderError(OSError):
    """What keeps a push back is the run's folder here, not the store. Has the system's `errno`."""

    def __str__(self) -> str:
        return str(self.strerror)


class Mirror:
    """Pushes one run's folder to `storage`/its name; from one thread."""

    def __init__(self, run: Path, storage: str) -> None:
        check_address(storage)
        self.run, self.storage = run, storage
        self.address = under(storage, run.resolve().name)
        self.objects = 0  # that were put, to see that a push moves
        self._shadow = run / MIRROR
        self._store: ObjectStore | None = None
        self._lock: RunLock | None = None  # of the shadow; held while there is a connection
        self._reported_at = float("-inf")  # by the steady clock
        self._seen: dict[str, Seen] = {}  # files that change, as they were when pushed
        self._pushed: tuple[Manifest, int] | None = None  # what of the folder is in the store
        self._orphans: frozenset[str] = frozenset()  # of pushes that never came to their end
        if mirror_state(run).get("address") != self.address:
            with _here():
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
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _open(self) -> ObjectStore:
        self._lock = self._lock_shadow()
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

    def _lock_shadow(self) -> RunLock:
        with _here():
            try:
                return RunLock(self._shadow)
            except RunError:
                raise FolderError(errno.EBUSY, f"another process still pushes {self.run}") from None

    def _push(self, store: ObjectStore) -> None:
        pointer, before = self._at_store(store)  # nothing is put where another driver went on
        with _here():
            manifest, journal = state_of(self.run)
        self._put_changed(store)  # a trial's weights are there before its row is
        if self._pushed != (manifest, len(journal)):
            self._publish(store, manifest, journal, pointer, before)
            self._pushed = manifest, len(journal)
        self._report(store, done=True)
        self._note(pushed_at=time.time(), problem=None)

    def _report(self, store: ObjectStore, *, done: bool) -> None:
        """Put the status; until all is there, as one of a driver that lives and has not ended."""
        try:
            data = disk.read(self.run / STATUS)
            status = None if done else json.loads(data)
        except (FileNotFoundError, ValueError):
            return
        if isinstance(status, dict):
            ended = status.get("state") in ("finished", "stopped")
            state = {"state": "pushing"} if ended else {}
            data = json.dumps(status | state | {"at": time.time()}).encode()
        store.put(STATUS, data)
        self._reported_at = time.monotonic()

    def _publish(
        self,
        store: ObjectStore,
        manifest: Manifest,
        journal: bytes,
        pointer: bytes | None,
        before: Manifest,
    ) -> None:
        """A new state, where the store has `pointer` and the state `before` that it leads to."""
        known = {segment.file: segment.sha256 for segment in before.segments}
        for segment in manifest.segments:
            if known.get(segment.file) != segment.sha256:
                with _here():
                    data = disk.read(self.run / segment.file)
                check_sum(self.run / segment.file, data, segment.sha256)
                self._put_once(store, segment.file, data)
        number = max(manifest.number, before.number, *map(number_of, self._tried())) + 1
        new = replace(manifest, number=number, journal=f"{JOURNALS}/{number:06d}.log", outdated=())
        kept = {*new.files, *before.outdated}
        gone = ({*before.files} if pointer else set()) | self._orphans
        new = replace(new, outdated=tuple(sorted(gone - kept)))
        self._put_once(store, new.journal, journal)
        with _here():
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
        self._report_if_due(store)
        store.put(name, data)
        self.objects += 1

    def _put_once(self, store: ObjectStore, name: str, data: bytes) -> None:
        self._report_if_due(store)
        store.put_if_absent(name, data)
        self.objects += 1

    def _report_if_due(self, store: ObjectStore) -> None:
        if time.monotonic() - self._reported_at > REPORT_S:
            self._report(store, done=False)

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


@contextmanager
def _here() -> Iterator[None]:
    """Tell what the run's folder refuses from what the store does."""
    try:
        yield
    except FolderError:
        raise
    except OSError as error:
        raise FolderError(error.errno, error.strerror or str(error)) from error


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

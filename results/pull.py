"""Pull: a run in an object store copied to this machine, where it is read as any other.

Objects that never change come once, each checked against the checksum that names it; the pointer is
written last, so a folder that was pulled is at every instant a state that the run had. What is kept
here is a cache, and may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from results import disk
from results.errors import RunError
from results.files import write_atomic
from results.folder import (
    DESCRIPTION,
    FOLDERS,
    JOURNALS,
    LOCK,
    MANIFESTS,
    POINTER,
    SEGMENTS,
    STATUS,
)
from results.heartbeat import SILENT_S, driver_state
from results.journal import decode, parse_journal
from results.manifest import Manifest, checked_manifest, manifest_file, read_manifest
from results.mirror import BESIDE, NOT_BESIDE, TRAINED, WEIGHTS
from results.mirror_state import MIRROR, remember_address
from results.object_store import (
    TROUBLE,
    ObjectStore,
    StoredFile,
    check_address,
    parent_and_name,
    reason,
    under,
)

# Names come from the store, and become paths here.
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NUMBERED = re.compile(rf"({SEGMENTS}/\d+\.parquet|{JOURNALS}/\d+\.log|{MANIFESTS}/\d+\.json)")
PULL_ATTEMPTS = 20  # one fails only if the driver pushed twice within it


def pulled(address: str, *, weights: bool = False) -> Path:
    """The folder on this machine that holds the run at `address` as it is now."""
    check_address(address)
    root, name = parent_and_name(address)
    folder = cache_of(root) / _legal(name, address)
    with _reached(address):
        _pull_to_cache(ObjectStore(address), folder, weights)
    return folder


def pulled_runs(root: str) -> Path:
    """A folder on this machine that holds every run right under `root` as it is now."""
    check_address(root)
    with _reached(root):
        names = ObjectStore(root).folders_with(DESCRIPTION)
        for name in filter(RUN_NAME.fullmatch, names):
            _pull_to_cache(ObjectStore(under(root, name)), cache_of(root) / name, weights=False)
    return cache_of(root)


def moved_here(address: str, runs: Path) -> Path:
    """A folder in `runs` to go on in with the run at `address`, whose driver must be gone.

    No lock reaches another machine. A driver that lives notices at its next push that another one
    went on, and pushes nothing more.
    """
    check_address(address)
    root, name = parent_and_name(address)
    folder = runs / _legal(name, address)
    if (folder / DESCRIPTION).exists():
        raise RunError(
            f"{folder} is there already; go on with attnas resume {folder}, or move it away to go "
            f"on from {address}"
        )
    with _reached(address):
        store = ObjectStore(address)
        _refuse_living(store)
        with _pulling(store, folder, weights=True):  # a run that can't push on must never be there
            for part in FOLDERS:
                disk.make_folder(folder / part)
            remember_address(folder, root, address)
            manifest = read_manifest(folder)
            for file in (manifest.file, POINTER):
                write_atomic(folder / MIRROR / file, disk.read(folder / file))
    return folder


def _refuse_living(store: ObjectStore) -> None:
    """RunError where the run's driver reported a moment ago."""
    try:
        status = json.loads(store.read(STATUS))
    except (FileNotFoundError, ValueError):
        return
    now = time.time()
    if isinstance(status, dict) and driver_state(status, now) == "live":
        raise RunError(
            f"the driver of {store.address} reported {now - status['at']:.0f} s ago; stop it, and "
            f"go on here {SILENT_S:.0f} s after its last report"
        )


def cache_of(root: str) -> Path:
    """Where the runs under an address are kept on this machine; for this user's eyes only."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", root.partition("://")[2].partition("?")[0]).strip("-")
    digest = hashlib.sha256(root.encode()).hexdigest()[:12]
    folder = _caches() / f"{readable[:60]}-{digest}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def is_pulled(run: Path) -> bool:
    """Whether a folder is a copy on this machine of a run in an object store."""
    return run.resolve().is_relative_to(_caches().resolve())


def _caches() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "attnas" / "pulled"


def _pull_to_cache(store: ObjectStore, folder: Path, weights: bool) -> None:
    with _one_at_a_time(folder), _pulling(store, folder, weights):
        disk.remove(folder / LOCK)  # it would say of a driver elsewhere that it is gone


@contextmanager
def _pulling(store: ObjectStore, folder: Path, weights: bool) -> Iterator[None]:
    """Bring all of a run; the block runs before a new folder becomes a run."""
    try:
        description = store.read(DESCRIPTION)
    except FileNotFoundError:
        raise RunError(f"there is no run at {store.address}: it has no {DESCRIPTION}") from None
    if folder.exists() and _kept(folder / DESCRIPTION) not in (description, None):
        shutil.rmtree(folder)  # another run had this name
    for part in (MANIFESTS, SEGMENTS, JOURNALS, WEIGHTS):
        disk.make_folder(folder / part)
    needed = _pull_state(store, folder)
    for name, there in store.files().items():
        if BESIDE.fullmatch(name) and name not in NOT_BESIDE - {STATUS}:
            _pull_changed(store, folder, name, there)
    for name, there in store.files(WEIGHTS).items() if weights else ():
        if TRAINED.fullmatch(name):
            _pull_changed(store, folder, f"{WEIGHTS}/{name}", there)
    yield
    if _kept(folder / DESCRIPTION) is None:
        write_atomic(folder / DESCRIPTION, description)  # now it is a run
    for part in (MANIFESTS, SEGMENTS, JOURNALS):
        for name in disk.names(folder / part):
            if f"{part}/{name}" not in needed:
                disk.remove(folder / part / name)


def _pull_state(store: ObjectStore, folder: Path) -> set[str]:
    """Bring the rows' files; those to be kept: of this state, and of the one here before."""
    before = None
    with suppress(FileNotFoundError, RunError):
        before = read_manifest(folder)
    for attempt in range(PULL_ATTEMPTS):
        try:
            now = _pull_rows(store, folder)
        except FileNotFoundError as error:  # the driver pushed twice meanwhile
            if attempt == PULL_ATTEMPTS - 1:
                raise RunError(
                    f"{store.address} lacks an object that it names ({reason(error)}); push the "
                    "run again from its own folder with attnas resume"
                ) from None
            continue
        # Whoever reads the state before may still be at it.
        return {*now.files, *(before.files if before else ())}
    raise AssertionError("unreachable")


def _pull_rows(store: ObjectStore, folder: Path) -> Manifest:
    """What the pointer in the store names, and the pointer last."""
    pointer = store.read(POINTER)
    named = decode(pointer.removesuffix(b"\n"))
    if named is None:
        raise _damaged(store, POINTER)
    is_news = _kept(folder / POINTER) != pointer
    file = manifest_file(int(named["manifest"]))
    _pull_once(store, folder, file, named["sha256"])
    manifest = checked_manifest(folder, named["manifest"], named["sha256"])
    for segment in manifest.segments:
        _pull_once(store, folder, segment.file, segment.sha256)
    if is_news or not (folder / manifest.journal).exists():
        _pull_journal(store, folder, manifest.journal)
    if is_news:
        write_atomic(folder / POINTER, pointer)
    return manifest


def _pull_once(store: ObjectStore, folder: Path, name: str, sha256: str) -> None:
    """An object that never changes; whatever was kept of another content is replaced."""
    _check_name(store, name)
    kept = _kept(folder / name)
    if kept is not None and hashlib.sha256(kept).hexdigest() == sha256:
        return
    data = store.read(name)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _damaged(store, name)
    write_atomic(folder / name, data)


def _pull_journal(store: ObjectStore, folder: Path, name: str) -> None:
    """A journal, whose records have their checksums in them; whole ones only were pushed."""
    _check_name(store, name)
    data = store.read(name)
    if parse_journal(data).rest:
        raise _damaged(store, name)
    write_atomic(folder / name, data)


def _check_name(store: ObjectStore, name: str) -> None:
    if not NUMBERED.fullmatch(name):
        raise _damaged(store, f"the manifest, which names {name!r},")


def _pull_changed(store: ObjectStore, folder: Path, name: str, there: StoredFile) -> None:
    """A file that may change; its time here is that in the store, to tell whether it did."""
    file = folder / name
    with suppress(FileNotFoundError):
        about = file.stat()
        if (about.st_size, about.st_mtime) == (there.size, there.written_at) and name != STATUS:
            return
    with suppress(FileNotFoundError):  # removed since it was listed
        write_atomic(file, store.read(name))
        if there.written_at is not None:
            os.utime(file, (there.written_at, there.written_at))


def _kept(file: Path) -> bytes | None:
    try:
        return disk.read(file)
    except FileNotFoundError:
        return None


def _legal(name: str, address: str) -> str:
    if not RUN_NAME.fullmatch(name):
        raise RunError(
            f"the address of a run ends in its name, but got {address!r}; write for example "
            "s3://bucket/folder/lm"
        )
    return name


def _damaged(store: ObjectStore, name: str) -> RunError:
    return RunError(
        f"{name} in {store.address} is damaged: it is not what was pushed; remove that object and "
        "push the run again from its own folder with attnas resume"
    )


@contextmanager
def _reached(address: str) -> Iterator[None]:
    """What a store says that can't be reached, as a sentence."""
    try:
        yield
    except TROUBLE as error:
        raise RunError(
            f"{address} can't be read ({reason(error)}); check the address, the network and the "
            "credentials"
        ) from error


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two processes that pull one run would remove each other's files."""
    lock = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)

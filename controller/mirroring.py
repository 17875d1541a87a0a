"""Mirroring: while a driver works, a thread pushes its run to the object store.

A store that can't be reached delays nothing and fails nothing: the run's folder has it all, and the
next push brings it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from results import RunError
from results.mirror import FolderError, Mirror, refuse_taken
from results.mirror_state import mirror_state
from results.object_store import TROUBLE, ObjectStore, reason, under

EVERY_S = 5.0  # readers take a driver that is silent for 30 s for one that died
SLOWEST_S = 60.0  # between attempts at a store that can't be reached
LAST_PAUSES_S = (0.0, 2.0, 5.0)  # before each of the attempts at the end
STALLED_S = 60.0  # without an object put, the last push is given up
ASK_S = 10.0  # to ask whether a name is free

Say = Callable[[str], object]


def check_free(path: Path, storage: str | None) -> None:
    """RunError where the store has a run of this name; none where it can't be asked in time."""
    if storage is None:
        return
    refused: list[RunError] = []

    def ask() -> None:
        try:
            refuse_taken(ObjectStore(under(storage, path.name)))
        except RunError as error:
            refused.append(error)
        except TROUBLE:
            return  # the first push will say so

    thread = threading.Thread(target=ask, name="is the name free", daemon=True)
    thread.start()
    thread.join(ASK_S)
    if refused:
        raise refused[0]


@contextmanager
def mirroring(path: Path, storage: str | None, say: Say) -> Iterator[None]:
    """Push the run in `path` while the block runs, and all of it at the end; problems go to `say`.

    Where the run was pushed to before counts more than what its configuration says.
    """
    storage = mirror_state(path).get("storage") or storage
    if storage is None:
        yield
        return
    pusher = _Pusher(path, storage, say)
    pusher.thread.start()
    try:
        yield
    finally:
        pusher.end()


class _Pusher:
    """The thread that pushes, and what it told of."""

    def __init__(self, path: Path, storage: str, say: Say) -> None:
        self.thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._path, self._storage, self._say = path, storage, say
        self._address = under(storage, path.resolve().name)
        self._stop = threading.Event()
        self._mirror: Mirror | None = None
        self._problem: str | None = None  # of the last attempt
        self._refused = False

    def end(self) -> None:
        """Wait for the last push, as long as it moves, and say how it ended."""
        self._stop.set()
        before = None
        while self.thread.is_alive() and before != (now := self._put()):
            before = now
            self.thread.join(STALLED_S)
        if self.thread.is_alive():
            self._problem = self._problem or f"nothing moved in {STALLED_S:g} s"
        if self._refused:
            return
        if self._problem is None:
            self._say(f"pushed:  {self._address}")
        else:
            self._say(
                f"the last push to {self._address} failed ({self._problem}); all is in "
                f"{self._path}; push it with: attnas resume {self._path}"
            )

    def _put(self) -> int:
        return self._mirror.objects if self._mirror else 0

    def _run(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            wait = EVERY_S if self._attempt() else min(SLOWEST_S, 2 * max(wait, EVERY_S))
            if self._refused:
                return
        for pause in LAST_PAUSES_S:
            if self._refused or threading.Event().wait(pause) or self._attempt():
                break
        if self._mirror is not None:
            self._mirror.let_go()

    def _attempt(self) -> bool:
        """Whether a push went through. Whatever goes wrong, the search goes on."""
        before = self._problem
        try:
            self._mirror = self._mirror or Mirror(self._path, self._storage)
            self._mirror.push()
            self._problem = None
        except RunError as error:
            self._refused, self._problem = True, str(error)
            self._say(f"{error}; until then {self._path} has it all, and nothing more is pushed")
        except Exception as error:
            self._problem = reason(error)
            if before is None and not self._stop.is_set():
                what = f"{self._address} can't be reached"
                if isinstance(error, FolderError):
                    what = f"{self._path} can't be pushed for now"
                self._say(
                    f"{what} ({self._problem}); the search goes on, and what it finds is pushed "
                    "later"
                )
        if self._mirror is not None and self._problem is not None:
            self._mirror.note_problem(self._problem)
        if before is not None and self._problem is None:
            self._say(f"{self._address} is up to date again")
        return self._problem is None

"""Spans: what a trial's process does now, and what it did from when to when, one thing at a time.

Times are of the monotonic clock, which all processes of a machine share. Who waits for the device
says so to the recorder of whoever trains or measures, and does nothing else meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

Doing = Literal["starting", "counting", "waiting", "measuring", "training", "scoring"]
NAMES: tuple[Doing, ...] = get_args(Doing)
SHORTEST_S = 0.01  # what took less is part of what was done before it
MOST = 256  # spans of a trial: beyond, the shortest are counted to their neighbours
TOLD_S = 1.0  # between reports of how far training is

Guard = Callable[[], AbstractContextManager[object]]
Tell = Callable[[Doing | None, float | None], object]  # what is done now; of training, the share


@dataclass(slots=True)
class Spans:
    """A recorder; `tell` hears of every change, and of training about every second."""

    tell: Tell = lambda doing, share: None
    began: float | None = None  # when the trial was given out, where it waited to be begun
    _past: list[tuple[Doing, float, float]] = field(default_factory=list)
    _now: tuple[Doing, float] | None = None
    _waited_in: Doing | None = None

    def __post_init__(self) -> None:
        if self.began is not None:
            self._now = "starting", self.began

    def switch(self, doing: Doing | None) -> Doing | None:
        """From now on it does this, or nothing that has a name; what it did before."""
        at, before = time.monotonic(), None
        if self._now is not None:
            before, since = self._now
            self._note(before, since, at)
        self._now = None if doing is None else (doing, at)
        self.tell(doing, None)
        return before

    @contextmanager
    def doing(self, what: Doing) -> Iterator[None]:
        """What the block does; afterwards, what was done before goes on."""
        before = self.switch(what)
        try:
            yield
        finally:
            self.switch(before)

    def waiting(self, waits: bool) -> None:
        """It begins, or ends, to wait for others that have the device."""
        if waits:
            self._waited_in = self.switch("waiting")
        elif self._now is not None and self._now[0] == "waiting":
            self.switch(self._waited_in)

    def ended_with(self, what: Doing, seconds: float) -> None:
        """The last seconds of what is being done were this."""
        if self._now is not None and seconds > 0:
            doing, since = self._now
            now = time.monotonic()
            begun = max(since, now - seconds)
            self._note(doing, since, begun)
            self._note(what, begun, now)
            self._now = doing, now

    def counted(self, guard: Guard, steps: int, done: int = 0) -> Guard:
        """The guard of training's steps, which also tells how far it is."""
        told, left = time.monotonic(), steps - done

        def counting() -> AbstractContextManager[object]:
            nonlocal told, left
            now = time.monotonic()
            if now - told >= TOLD_S:
                told = now
                self.tell("training", 1 - max(0, left) / steps)
            left -= 1
            return guard()

        return counting

    def since(self, start: float) -> list[tuple[str, float, float]]:
        """All up to now, in seconds from an instant of the monotonic clock."""
        spans = list(self._past)
        if self._now is not None:
            spans.append((*self._now, time.monotonic()))
        return [
            (name, round(begun - start, 3), round(ended - start, 3))
            for name, begun, ended in _at_most(spans, MOST)
            if ended - begun >= SHORTEST_S
        ]

    def _note(self, doing: Doing, since: float, until: float) -> None:
        if self._past:
            last, begun, ended = self._past[-1]
            gap = since - ended
            if gap < SHORTEST_S and (last == doing or until - since < SHORTEST_S):
                self._past[-1] = last, begun, until
                return
        if until - since >= SHORTEST_S:
            self._past.append((doing, since, until))
        if len(self._past) > 2 * MOST:
            self._past = _at_most(self._past, MOST)


def _at_most(
    spans: list[tuple[Doing, float, float]], most: int
) -> list[tuple[Doing, float, float]]:
    """So many; the shortest are part of what was done before them."""
    while len(spans) > most:
        index = min(range(1, len(spans)), key=lambda i: spans[i][2] - spans[i][1])
        name, begun, _ = spans[index - 1]
        spans = [*spans[: index - 1], (name, begun, spans[index][2]), *spans[index + 1 :]]
    return spans

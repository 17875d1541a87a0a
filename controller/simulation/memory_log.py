"""MemoryLog: a search's log in memory, for simulated runs that nobody resumes from disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from results import Ask, TrialRow


class MemoryLog:
    """Asks and rows in the order they happened, numbered as a run's writer does."""

    def __init__(self, events: Sequence[Ask | TrialRow] = ()) -> None:
        self._events: list[Ask | TrialRow] = list(events)
        self._asked = {e.identity: e.ordinal for e in events if isinstance(e, Ask)}
        self._kept = {e.identity for e in events if isinstance(e, TrialRow)}

    @property
    def events(self) -> Sequence[Ask | TrialRow]:
        """Everything so far."""
        return self._events

    @property
    def rows(self) -> list[TrialRow]:
        """The results among the events."""
        return [event for event in self._events if isinstance(event, TrialRow)]

    def ask(
        self,
        *,
        trial: int,
        attempt: int,
        seed: int,
        key: str,
        design: str,
        origin: str,
        settings: str | None = None,
        rung: int = 0,
    ) -> Ask:
        """Note that a trial goes out."""
        ordinal = len(self._events)
        ask = Ask(trial, attempt, seed, key, design, origin, ordinal, settings, rung)
        self._events.append(ask)
        self._asked[ask.identity] = ordinal
        return ask

    def append(self, row: TrialRow) -> TrialRow | None:
        """Keep a row; None for one that is there already."""
        if row.identity in self._kept:
            return None
        asked = [self._asked[ask] for ask in row.answers if ask in self._asked]
        asked_at = asked[0] if asked else -1
        stored = replace(row, asked_at=asked_at, told_at=len(self._events))
        self._events.append(stored)
        self._kept.add(row.identity)
        return stored

    def absorb_inbox(self) -> list[TrialRow]:
        """Nothing: simulated workers leave nothing behind."""
        return []

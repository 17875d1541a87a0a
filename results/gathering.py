"""Gathering: the rows and asks of a damaged run, from every file that has any, each once.

Files in force come first. What others hold beside is added where it contradicts nothing: a row that
was acknowledged has a place of its own among the run's events, so one whose place is taken was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results import disk
from results.journal import salvage
from results.schema import Ask, AskKey, RowKey, TrialRow, table_to_rows
from results.segments import Segment, parse_segment
from results.survey import Mark, Part, Survey, parse_records

Event = tuple[str, int, int, int]  # an ask of trial, attempt, seed; a row of trial, attempt, rung


@dataclass(slots=True)
class Gathered:
    """What a new manifest and its journal are to hold."""

    segments: list[Segment] = field(default_factory=list)  # kept as they are
    rows: list[TrialRow] = field(default_factory=list)  # for the journal
    asks: list[Ask] = field(default_factory=list)  # that no row ends
    marks: list[Mark] = field(default_factory=list)  # of every row
    added: int = 0  # rows of files that were not in force
    contradicting: int = 0  # rows and asks that were left out

    @property
    def records(self) -> list[dict[str, Any]]:
        """Those of the journal, in the order of events."""
        events: list[tuple[int, dict[str, Any]]]
        events = [(ask.ordinal, {"ask": ask.to_plain()}) for ask in self.asks]
        events += [(row.told_at, {"row": row.to_plain()}) for row in self.rows]
        return [record for _, record in sorted(events, key=lambda event: event[0])]


def gather(found: Survey) -> Gathered:
    """All that can be had of a run."""
    made, taken = Gathered(), dict[RowKey, Mark]()
    places: dict[int, Event] = {}  # of events, by ordinal
    in_force = found.in_force
    for part in _by_trust(found):
        new = [mark for mark in part.marks if mark.identity not in taken]
        fitting = [mark for mark in new if _take_place(mark, places)]
        made.contradicting += len(new) - len(fitting)
        taken |= {mark.identity: mark for mark in fitting}
        made.added += 0 if part in in_force else len(fitting)
        if not fitting:
            continue
        if part.is_segment and len({mark.identity for mark in fitting}) == len(part.marks):
            made.segments.append(Segment(part.file, len(part.marks), part.sha256))
        else:
            made.rows += _rows_of(found.run, part, {mark.identity for mark in fitting})
    made.segments.sort(key=lambda segment: segment.file)
    made.marks = list(taken.values())
    made.asks = list(_pending(found, made, places))
    return made


def _by_trust(found: Survey) -> Iterator[Part]:
    """What is in force, then what a checksum proves, then segments whose manifest is gone."""
    in_force = found.in_force
    usable = [part for part in found.parts.values() if not (part.is_segment and part.trouble)]
    yield from (part for part in in_force if part in usable)
    others = [part for part in usable if part not in in_force]
    yield from sorted(others, key=lambda part: (part.proven, part.file.rpartition("/")[2]),
                      reverse=True)  # fmt: skip


def _take_place(mark: Mark, places: dict[int, Event]) -> bool:
    """Give a row and its ask their places, unless another event has one of them."""
    row: Event = ("row", mark.trial, mark.attempt, mark.rung)
    ask: Event = ("ask", mark.trial, mark.attempt, mark.seed)
    if places.get(mark.told_at, row) != row:
        return False
    if mark.asked_at >= 0 and places.get(mark.asked_at, ask) != ask:
        return False
    places[mark.told_at] = row
    if mark.asked_at >= 0:
        places[mark.asked_at] = ask
    return True


def _rows_of(run: Path, part: Part, wanted: set[RowKey]) -> list[TrialRow]:
    """Each of these rows of a file, once."""
    data = disk.read(run / part.file)
    rows = (
        table_to_rows(parse_segment(data)) if part.is_segment else parse_records(salvage(data))[0]
    )
    once = {row.identity: row for row in reversed(rows)}
    return [row for identity, row in once.items() if identity in wanted]


def _pending(found: Survey, made: Gathered, places: dict[int, Event]) -> Iterator[Ask]:
    """Asks that nothing ended: neither a row nor a later ask of the same trial."""
    asks: dict[AskKey, Ask] = {}
    for part in _by_trust(found):
        for ask in part.asks:
            event: Event = ("ask", ask.trial, ask.attempt, ask.seed)
            if asks.setdefault(ask.identity, ask) is not ask:
                continue
            if places.setdefault(ask.ordinal, event) != event:
                del asks[ask.identity]
                made.contradicting += 1
    last: dict[int, int] = {}  # by trial, its last event but rungs that it passed on its way
    for ask in asks.values():
        last[ask.trial] = max(ask.ordinal, last.get(ask.trial, -1))
    on_the_way = {ask.ordinal for ask in asks.values()}
    for mark in made.marks:
        if mark.state != "passed" or mark.asked_at not in on_the_way:
            last[mark.trial] = max(mark.told_at, last.get(mark.trial, -1))
    yield from (ask for ask in asks.values() if last[ask.trial] == ask.ordinal)

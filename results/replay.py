"""Replay: what the log of a run says so far, and its asks and rows in their exact order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from results.schema import Ask, AskKey, RowKey, TrialRow


class RunLog:
    """The writer's memory: who was asked, what is stored, and the rows not yet folded."""

    COLUMNS: ClassVar[list[str]] = [
        "trial",
        "seed",
        "rung",
        "attempt",
        "state",
        "asked_at",
        "told_at",
    ]

    def __init__(self) -> None:
        self.rows: list[TrialRow] = []  # those of the journal
        self.pending: dict[AskKey, Ask] = {}
        self.next_ordinal = 0
        self._stored: set[RowKey] = set()
        self._asked_at: dict[AskKey, int] = {}
        self._ask_at: dict[int, AskKey] = {}  # by ordinal

    def knows_ask(self, ask: Ask) -> bool:
        """Whether this trial, attempt, seed and rung was asked before."""
        return ask.identity in self._asked_at

    def knows_row(self, row: TrialRow) -> bool:
        """Whether this trial, seed, rung and attempt is stored."""
        return row.identity in self._stored

    def check_answer(self, row: TrialRow) -> int:
        """The ordinal of the row's ask, -1 for a row that nobody asked for."""
        key = next((key for key in row.answers if key in self._asked_at), None)
        ask = None if key is None else self.pending.get(key)
        if ask and _what(ask) != _what(row):
            raise ValueError(
                f"the row of trial {row.trial} must repeat its ask: {ask.key} from {ask.origin}, "
                f"but got {row.key} from {row.origin}"
            )
        return -1 if key is None else self._asked_at[key]

    def add_ask(self, ask: Ask) -> None:
        """Take in an ask; it is pending until a row ends it, which a passed rung does not."""
        self._asked_at[ask.identity] = ask.ordinal
        self._ask_at[ask.ordinal] = ask.identity
        self.pending[ask.identity] = ask
        self.next_ordinal = max(self.next_ordinal, ask.ordinal + 1)

    def add_row(self, row: TrialRow) -> None:
        """Take in a row of the journal."""
        self.rows.append(row)
        self._add_answer(row.identity, row.state, row.asked_at, row.told_at)

    def add_records(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take in a journal's records."""
        for record in records:
            if "ask" in record:
                self.add_ask(Ask(**record["ask"]))
            else:
                self.add_row(TrialRow.from_plain(record["row"]))

    def add_stored(self, columns: pa.Table) -> None:
        """Take in the `COLUMNS` of a segment."""
        values = (columns[name].to_pylist() for name in self.COLUMNS)
        for trial, seed, rung, attempt, state, asked_at, told_at in zip(*values, strict=True):
            self._add_answer((trial, seed, rung, attempt), state, asked_at, told_at)

    def _add_answer(self, row: RowKey, state: str, asked_at: int, told_at: int) -> None:
        """A row is stored. The first one that an ask leads to is of the rung that it asked for."""
        self._stored.add(row)
        trial, seed, rung, attempt = row
        if asked_at >= 0:
            ask = self._ask_at.setdefault(asked_at, (trial, attempt, seed, rung))
            self._asked_at[ask] = asked_at
            if state != "passed":
                self.pending.pop(ask, None)
        self.next_ordinal = max(self.next_ordinal, told_at + 1)


def _what(event: Ask | TrialRow) -> tuple[str, str, str, str | None]:
    """What a row repeats of its ask."""
    return event.key, event.design, event.origin, event.settings


def pending_asks(records: Iterable[Mapping[str, Any]]) -> list[Ask]:
    """The asks of a journal that no row of it ends (a fold carries only such asks over)."""
    log = RunLog()
    log.add_records(records)
    return list(log.pending.values())


def merge_events(rows: Sequence[TrialRow], pending: Iterable[Ask]) -> list[Ask | TrialRow]:
    """Asks and rows by ordinal; an ask that was answered is rebuilt from its first row."""
    asks = {ask.ordinal: ask for ask in pending}
    for row in sorted(rows, key=lambda row: row.told_at):
        if row.asked_at >= 0 and row.asked_at not in asks:
            asks[row.asked_at] = Ask(
                trial=row.trial,
                attempt=row.attempt,
                seed=row.seed,
                key=row.key,
                design=row.design,
                origin=row.origin,
                ordinal=row.asked_at,
                settings=row.settings,
                rung=row.rung,
            )
    told: dict[int, Ask | TrialRow] = {row.told_at: row for row in rows}
    return [event for _, event in sorted((asks | told).items(), key=lambda item: item[0])]

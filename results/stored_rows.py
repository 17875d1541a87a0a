"""Stored rows: figures stay in the columns of their segment, so that 100,000 rows are small.

For a search that is told its rows again. Curves, gradients, held-out groups, spans and notes are
no part of what it decides by and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from results.schema import FIXED_COLUMNS, FIXED_SCHEMA, TrialRow

LEFT_OUT = frozenset({"curve_tokens", "curve_loss", "gradients", "held_out", "spans", "notes"})
_ORDINARY: dict[str, Any] = {
    f.name: f.default if f.default_factory is MISSING else f.default_factory()
    for f in fields(TrialRow)
    if f.name != "metrics" and (f.default is not MISSING or f.default_factory is not MISSING)
}


class Figures(Mapping[str, float]):
    """The metrics of one row: a line of a table that all rows of a segment share."""

    __slots__ = ("_line", "_places")

    def __init__(self, places: Mapping[str, int], line: npt.NDArray[np.float64]) -> None:
        self._places, self._line = places, line  # nan where the row lacks a metric

    def __getitem__(self, name: str) -> float:
        value = float(self._line[self._places[name]])
        if value != value:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (
            name for name, place in self._places.items() if self._line[place] == self._line[place]
        )

    def __len__(self) -> int:
        return int(np.count_nonzero(self._line == self._line))

    def __repr__(self) -> str:
        return repr(dict(self))


def bare(row: TrialRow) -> TrialRow:
    """A row of the journal, as `stored_rows` gives it once it is in a segment."""
    if not (row.curve or row.gradients or row.held_out or row.spans or row.notes):
        return row
    return replace(row, curve=(), gradients=(), held_out=(), spans=(), notes={})


def stored_rows(table: pa.Table) -> list[TrialRow]:
    """The rows of a table that `rows_to_table` laid out, now or in an older version.

    They were checked when they were written, and their bytes when they were read.
    """
    names = [name for name in table.column_names if name not in FIXED_COLUMNS]
    block = np.full((table.num_rows, len(names)), np.nan)
    for place, name in enumerate(names):
        block[:, place] = table[name].to_numpy()
    places = {name: place for place, name in enumerate(names)}
    plain = [n for n in FIXED_SCHEMA.names if n in table.column_names and n not in LEFT_OUT]
    columns = [_shared(table[name].to_pylist()) for name in plain]
    columns += [[value] * table.num_rows for name, value in _ORDINARY.items() if name not in plain]
    columns.append([Figures(places, line) for line in block])
    names = [*plain, *(name for name in _ORDINARY if name not in plain), "metrics"]
    put = [getattr(TrialRow, name).__set__ for name in names]  # past the frozen class's guard
    rows = [object.__new__(TrialRow) for _ in range(table.num_rows)]
    for row, values in zip(rows, zip(*columns, strict=True), strict=True):
        for put_one, value in zip(put, values, strict=True):
            put_one(row, value)
    return rows


def _shared(values: list[Any]) -> list[Any]:
    """The same values, equal texts as one object where few differ."""
    if not values or not isinstance(values[0], str) or len(set(values)) > len(values) // 4:
        return values
    one = {value: value for value in values}
    return [one[value] for value in values]

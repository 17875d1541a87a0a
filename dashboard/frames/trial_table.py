"""Trial table: the columns that trials have, one page of them as people read it, and their CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from csv import QUOTE_NONNUMERIC
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dashboard.frames.derived import quantities_of, words_of
from dashboard.frames.quantities import Quantity, digits, quantity
from dashboard.frames.trial_rows import Rows, standing_of
from dashboard.frames.trials import metric_columns
from dashboard.loading import Loaded
from results.annotations import Annotations
from results.intervals import estimates

Floats = npt.NDArray[np.float64]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would run
HALF_WIDTH = "_half_width"
PLAIN = {  # columns that are no metric: name in the URL, heading
    "trial": "Trial",
    "outcome": "State",
    "origin": "Origin",
    "design": "Design",
    "seeds": "Seeds",
    "front": "Front",
    "tags": "Tags",
    "note": "Note",
    "reason": "Reason",
    "rung": "Rung",
    "attempt": "Attempt",
    "seed": "Seed",
    "seconds": "Duration (s)",
    "worker": "Worker",
    "device": "Device",
    "key": "Key of the design",
    "json": "Design as JSON",
}
UNSORTABLE = ("design", "tags", "note", "key", "json")
LONGEST = 160  # characters of a cell on the page


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one run's table."""

    quantities: dict[str, Quantity]  # metrics by column
    objectives: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All of them, as they are offered."""
        first = ["trial", "outcome", "origin", "design", *self.objectives, "seeds", "front", "tags"]
        rest = [name for name in (*PLAIN, *self.quantities) if name not in first]
        return first + rest

    @property
    def default(self) -> list[str]:
        """Those shown where nobody chose."""
        return self.names[: 7 + len(self.objectives)]

    @property
    def sortable(self) -> list[str]:
        """Those that have an order."""
        return [name for name in self.names if name not in UNSORTABLE]

    def heading(self, name: str) -> str:
        """What a column is called, with its unit."""
        if name in self.quantities:
            return self.quantities[name].heading
        return PLAIN.get(name, name)


def columns_of(loaded: Loaded) -> Columns:
    """What the table of a run may show: its metrics too, where trials alone have them."""
    frame = loaded.frame
    known = {name: q for name, q in quantities_of(loaded).items() if name in frame}
    objectives = loaded.run.objectives
    for column in [*(o.column for o in objectives), *metric_columns(frame)]:
        if column not in known:
            known[column] = quantity(column, frame, objectives)
    return Columns(known, tuple(o.column for o in objectives))


def half_widths(loaded: Loaded, rows: Rows, column: str) -> Floats:
    """Half the 95% interval of each row, as of one training; NaN where noise is unknown."""
    some = loaded.frame.iloc[rows].assign(seeds=1.0)
    estimate = estimates(some, column, loaded.noise)
    low, high = estimate.low, estimate.high
    if estimate.is_log:
        low, high = np.exp(low), np.exp(high)
    return (high - low) / 2


def shown(
    loaded: Loaded, rows: Rows, names: Sequence[str], columns: Columns, notes: Annotations
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Some rows: the values behind the cells, and the text that each cell shows."""
    values: dict[str, object] = {}
    texts: dict[str, list[str]] = {}
    for name in names:
        column = _values(loaded, rows, name, columns, notes)
        if name in columns.quantities:
            numbers = np.asarray(column, dtype=np.float64)
            half = half_widths(loaded, rows, name) if name in columns.objectives else None
            values[name] = numbers
            texts[name] = _numbers(numbers, half, columns.quantities[name])
        elif name in ("seeds", "seconds"):
            values[name] = numbers = np.asarray(column, dtype=np.float64)
            places = 0 if name == "seeds" else 1
            texts[name] = ["" if v != v else f"{v:,.{places}f}" for v in numbers]
        else:
            values[name] = column
            texts[name] = [_clipped(value) for value in column]
    return pd.DataFrame(values), pd.DataFrame(texts)


def csv(
    loaded: Loaded, rows: Rows, names: Sequence[str], columns: Columns, notes: Annotations
) -> bytes:
    """All rows with these columns in base units; no text is a formula where a spreadsheet opens it.

    Objectives have their half width beside them.
    """
    table: dict[str, object] = {}
    for name in names:
        table[name] = _values(loaded, rows, name, columns, notes)
        if name in columns.objectives:
            table[name + HALF_WIDTH] = half_widths(loaded, rows, name)
    frame = pd.DataFrame(table)
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = unformulated(frame[name])
    frame = frame.rename(columns={"outcome": "state"})
    frame.columns = [_unformulated(str(name)) for name in frame.columns]
    return frame.to_csv(index=False, lineterminator="\n", quoting=QUOTE_NONNUMERIC).encode(
        errors="replace"
    )


def unformulated(texts: pd.Series) -> pd.Series:
    """Texts with an apostrophe before what a spreadsheet would take for a formula."""
    plain = texts.astype(object).where(texts.notna(), "").astype(str)
    return plain.where(~plain.str.startswith(FORMULA), "'" + plain)


def _unformulated(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _values(
    loaded: Loaded, rows: Rows, name: str, columns: Columns, notes: Annotations
) -> Sequence[object] | npt.NDArray:
    trials = loaded.frame["trial"].to_numpy()[rows]
    match name:
        case "design":
            return words_of(loaded, trials)
        case "json":
            return loaded.design_texts(trials)
        case "tags":
            return [", ".join(notes.of(int(trial)).tags) for trial in trials]
        case "note":
            return [notes.of(int(trial)).note for trial in trials]
    table = standing_of(loaded)
    table = table if name in table else loaded.frame
    if name not in table:
        return np.full(len(rows), np.nan)
    return table[name].to_numpy()[rows]


def _numbers(values: Floats, half: Floats | None, q: Quantity) -> list[str]:
    """`0.812 ± 0.004`: as many digits as the noise leaves."""
    halves = np.full(len(values), np.nan) if half is None else half
    return [_number(v / q.scale, h / q.scale) for v, h in zip(values, halves, strict=True)]


def _number(value: float, half: float) -> str:
    if not math.isfinite(value):
        return ""
    if not math.isfinite(half) or half <= 0:
        return digits(value)
    places = max(0, -math.floor(math.log10(half / 3)))
    return f"{value:,.{places}f} ± {half:,.{places}f}"


def _clipped(value: object) -> str:
    if value is None or value != value:
        return ""
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"

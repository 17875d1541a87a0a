"""Scope: which designs of a run are kept in view, by bounds, a condition, and where they are from.

It is in the URL, holds on all pages, and is spelled as the condition that commands take.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from dashboard import selection
from dashboard.frames.origins import AGAIN, PRESET, RANDOM, SEARCHED, source
from results import rows_that_meet

Bools = npt.NDArray[np.bool_]
Source = Literal["searched", "random", "preset", "again"]
SOURCES = (SEARCHED, RANDOM, PRESET, AGAIN)
BETWEEN, NEXT = "..", ";"


@dataclass(frozen=True, slots=True)
class Bound:
    """A column between two values, either of which may be open."""

    column: str
    low: float | None = None
    high: float | None = None

    @property
    def spelled(self) -> str:
        """`accuracy:0.5..`, as in the URL."""
        ends = ("" if end is None else repr(float(end)) for end in (self.low, self.high))
        return f"{self.column}:{BETWEEN.join(ends)}"

    @property
    def condition(self) -> str:
        """`accuracy >= 0.5`, as `--where` takes it."""
        parts = [] if self.low is None else [f"{self.column} >= {_exactly(self.low)}"]
        parts += [] if self.high is None else [f"{self.column} <= {_exactly(self.high)}"]
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is kept; nothing is left out where a part is empty."""

    bounds: tuple[Bound, ...] = ()
    where: str = ""
    sources: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.bounds or self.where or self.sources)

    def bound_of(self, column: str) -> Bound:
        """The bound of a column; an open one where there is none."""
        return next((bound for bound in self.bounds if bound.column == column), Bound(column))

    def bounded(self, bound: Bound) -> Scope:
        """The same with another bound of its column."""
        others = [known for known in self.bounds if known.column != bound.column]
        is_open = bound.low is None and bound.high is None
        return replace(self, bounds=(*others, *(() if is_open else (bound,))))

    @property
    def condition(self) -> str:
        """What `--where` takes; sources have no words there."""
        parts = [bound.condition for bound in self.bounds]
        parts += [f"({self.where})" if parts else self.where] if self.where else []
        return " and ".join(parts)

    def keeps(self, frame: pd.DataFrame) -> Bools:
        """Which rows of a frame with these columns and `origin` are kept.

        ValueError says what is wrong with the condition; a bound of a column that is not there
        keeps nothing.
        """
        kept = np.ones(len(frame), dtype=bool)
        for bound in self.bounds:
            if bound.column not in frame:
                return np.zeros(len(frame), dtype=bool)
            values = frame[bound.column].to_numpy(dtype=np.float64, na_value=np.nan)
            with np.errstate(invalid="ignore"):
                kept &= ~np.isnan(values) if bound.low is None else values >= bound.low
                kept &= True if bound.high is None else values <= bound.high
        if self.where:
            kept &= rows_that_meet(self.where, frame)
        if self.sources:
            kept &= np.isin(sources_of(frame["origin"]), list(self.sources))
        return kept


def _exactly(value: float) -> str:
    """`0.5`, `2097152`: the shortest text of this very number, at which a design may stand."""
    return repr(value).removesuffix(".0")


def sources_of(origins: pd.Series) -> npt.NDArray[np.object_]:
    """Where each design came from; there are few origins, so each is looked at once."""
    codes, names = pd.factorize(origins.astype(str))
    return np.array([source(str(name)) for name in names], dtype=object)[codes]


def scope() -> Scope:
    """What the URL asks for; parts that cannot be read are no bounds."""
    bounds = tuple(b for part in (selection.get("keep") or "").split(NEXT) if (b := _bound(part)))
    sources = frozenset(set(selection.listed("from")) & set(SOURCES))
    return Scope(bounds, (selection.get("where") or "").strip(), sources)


def put_scope(wanted: Scope) -> None:
    """Write it into the URL."""
    selection.put("keep", NEXT.join(bound.spelled for bound in wanted.bounds) or None)
    selection.put("where", wanted.where or None)
    selection.put("from", ",".join(_in_order(wanted.sources)) or None)
    selection.put("page", None)


def _in_order(sources: Iterable[str]) -> list[str]:
    return [name for name in SOURCES if name in sources]


def _bound(text: str) -> Bound | None:
    column, _, ends = text.rpartition(":")
    low, between, high = ends.partition(BETWEEN)
    if not column or not between or not (low or high):
        return None
    try:
        values = [float(end) if end else None for end in (low, high)]
    except ValueError:
        return None
    if any(value is not None and not np.isfinite(value) for value in values):
        return None
    return Bound(column, *values)

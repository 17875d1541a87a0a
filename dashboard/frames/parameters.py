"""Parameters: the frames behind the Parameters page, from the named values of a run's designs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dashboard.frames.quantities import LOG_SPAN, Quantity, digits
from dashboard.scope import Bools, Scope
from results.design_axes import DesignAxes, axis_words

Floats = npt.NDArray[np.float64]

MOST_DESIGNS = 4000  # whose values are read
LINES, FADED_LINES = 320, 60  # that a parallel chart tells apart
MOST_FRONT_LINES = 120
MOST_FIGURES = 7  # axes beside the objectives
TICKS = 5
SLICE_POINTS = 700
OWN = "figure "  # before a figure's name, in a table that has metrics as well


def sampled(report: pd.DataFrame, most: int = MOST_DESIGNS) -> pd.DataFrame:
    """The front, the presets, and others evenly over the trials."""
    if len(report) <= most:
        return report
    matters = report["on_front"].to_numpy(dtype=bool).copy()
    matters |= report["origin"].astype(str).str.contains("preset:", regex=False).to_numpy()
    return report[_evenly(~matters, max(0, most - int(matters.sum()))) | matters]


def _evenly(which: Bools, most: int) -> Bools:
    """At most so many of these, at even distances."""
    rows = np.flatnonzero(which)
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)] if most else rows[:0]
    chosen = np.zeros(len(which), dtype=bool)
    chosen[rows] = True
    return chosen


@dataclass(frozen=True)
class Scale:
    """One axis of a parallel chart: a column's values as heights from 0 to 1."""

    column: str
    title: str
    better: str  # `higher is better`, or nothing
    low: float
    high: float
    is_log: bool
    places: tuple[tuple[float, str], ...]  # of ticks, and what is written there

    def heights(self, values: pd.Series) -> Floats:
        """Where values stand; beyond the ends they stand at them."""
        found = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.clip((self._way(found) - self._way(self.low)) / self._span, 0.0, 1.0)

    def _way(self, value: Floats | float) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(value) if self.is_log else np.asarray(value, dtype=np.float64)

    @property
    def _span(self) -> float:
        return float(self._way(self.high) - self._way(self.low)) or 1.0


def scale_of(column: str, title: str, values: pd.Series, q: Quantity | None = None) -> Scale:
    """The axis of a column, with a tick at each value where they are few."""
    found = np.unique(values.to_numpy(dtype=np.float64, na_value=np.nan))
    found = found[np.isfinite(found)]
    low, high = float(found[0]), float(found[-1])
    is_log = low > 0 and high / low > LOG_SPAN
    at = (
        found
        if len(found) <= TICKS + 1
        else (np.geomspace if is_log else np.linspace)(low, high, TICKS)
    )
    unit, better = 1.0, ""
    if q is not None:
        unit = q.scale
        better = "higher is better" if q.objective.direction == "max" else "lower is better"
    bare = Scale(column, title, better, low, high, is_log, ())
    heights = bare.heights(pd.Series(at))
    places = tuple((float(h), digits(float(v) / unit)) for h, v in zip(heights, at, strict=True))
    return Scale(column, title, better, low, high, is_log, places)


@dataclass(frozen=True)
class Parallel:
    """What a parallel chart draws."""

    lines: pd.DataFrame  # trial, axis, height, text, front, kept, colour, words
    scales: tuple[Scale, ...]
    bounds: pd.DataFrame  # axis, low, high: what filters keep, as heights
    of: int  # designs that could be drawn


def parallel(
    report: pd.DataFrame,
    axes: DesignAxes,
    objectives: Sequence[Quantity],
    colour: Quantity | None,
    scope: Scope,
    selected: Collection[int] = (),
) -> Parallel:
    """A line for each of some designs: the objectives, then figures of the designs.

    `report` has a column `kept`; the front and what is selected are always drawn.
    """
    figures = axes.figures.iloc[:, :MOST_FIGURES]
    rows = report[report["trial"].isin(figures.index)].set_index("trial", drop=False)
    own = [f"{OWN}{name}" for name in figures]  # a metric may bear the same name
    table = rows.join(figures.set_axis(own, axis=1))
    scales = [
        scale_of(q.column, q.heading, table[q.column], q)
        for q in objectives
        if table[q.column].notna().any()
    ]
    scales += [
        scale_of(str(name), axis_words(str(name)), table[column])
        for name, column in zip(figures, own, strict=True)
        if table[column].notna().any()
    ]
    drawn = table[_lines(table, selected)]
    units = {q.column: q.scale for q in objectives}
    parts = []
    for place, scale in enumerate(scales):
        figure = f"{OWN}{scale.column}" if not scale.better else None
        values = drawn[figure or scale.column]
        unit = 1.0 if figure else units[scale.column]
        parts.append(
            pd.DataFrame(
                {
                    "trial": drawn["trial"].astype(int),
                    "axis": place,
                    "height": scale.heights(values),
                    "text": [
                        f"{scale.title}: {digits(float(v) / unit)}" for v in values.astype(float)
                    ],
                    "front": drawn["on_front"].astype(bool) & drawn["kept"].astype(bool),
                    "kept": drawn["kept"].astype(bool),
                    "colour": np.nan if colour is None else colour.scaled(drawn[colour.column]),
                }
            )
        )
    lines = pd.concat(parts, ignore_index=True).dropna(subset=["height"])
    return Parallel(lines, tuple(scales), _bounded(scales, scope), len(table))


def _lines(table: pd.DataFrame, selected: Collection[int]) -> Bools:
    kept = table["kept"].to_numpy(dtype=bool)
    front = table["on_front"].to_numpy(dtype=bool) & kept
    chosen = table["trial"].isin(list(selected)).to_numpy()
    drawn = _evenly(front, MOST_FRONT_LINES) | chosen
    drawn |= _evenly(kept & ~drawn, max(0, LINES - int(drawn.sum())))
    return drawn | _evenly(~kept & ~drawn, FADED_LINES)


def _bounded(scales: Sequence[Scale], scope: Scope) -> pd.DataFrame:
    """The ranges that filters keep, on the axes they are of."""
    rows = []
    for place, scale in enumerate(scales):
        bound = scope.bound_of(scale.column)
        if bound.low is None and bound.high is None:
            continue
        ends = [
            scale.low if bound.low is None else bound.low,
            scale.high if bound.high is None else bound.high,
        ]
        low, high = scale.heights(pd.Series(ends).clip(scale.low, scale.high))
        rows.append((place, low, high))
    return pd.DataFrame(rows, columns=["axis", "low", "high"])


def slice_points(axes: DesignAxes, report: pd.DataFrame, figure: str, q: Quantity) -> pd.DataFrame:
    """Designs by a figure and a metric, the front and some of the others."""
    rows = report.loc[report["trial"].isin(axes.trials), ["trial", q.column, "on_front"]]
    rows = rows.set_index("trial").reindex(axes.trials)
    frame = pd.DataFrame(
        {
            "trial": axes.trials,
            "x": axes.figures[figure].to_numpy(),
            "y": q.scaled(rows[q.column]).to_numpy(),
            "front": rows["on_front"].to_numpy(dtype=bool),
        }
    ).dropna()
    keep = frame["front"].to_numpy()
    return frame[keep | _evenly(~keep, SLICE_POINTS)].reset_index(drop=True)

"""Picking: what clicks, brushes and rows of a table make of the selection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from dashboard import selection
from dashboard.frames.quantities import Quantity
from dashboard.scope import Bound

Range = tuple[float, float]


def selected() -> list[int]:
    """The trials that are selected, one or several."""
    several, one = selection.trials(), selection.trial()
    return sorted({*several, *([] if one is None else [one])})


def select(trials: Iterable[int], newest: int | None = None) -> None:
    """Select these alone; the newest is the one that pages show."""
    chosen = sorted(set(trials))
    selection.put_trials(chosen if len(chosen) > 1 else [])
    shown = newest if newest in chosen else chosen[-1] if chosen else None
    selection.put_trial(shown)


def after_click(
    before: Sequence[int], now: Sequence[int], chosen: Collection[int]
) -> tuple[set[int], int | None]:
    """The selection after a chart's points went from `before` to `now`, and the newest of it.

    A click names one point, with shift it adds or takes away one. The chart doesn't know what was
    selected elsewhere, so its change is what counts.
    """
    added = [trial for trial in now if trial not in before]
    gone = set(before) - set(now)
    if added and not gone and before:
        return {*chosen, *added}, added[-1]
    if gone and not added and now:
        return set(chosen) - gone, None
    return set(now), now[-1] if now else None


def ranges_of(state: Mapping[str, object]) -> tuple[Range, Range] | None:
    """A brush's ranges of x and y in the chart's units; None where there is none."""
    found = []
    for axis in ("x", "y"):
        ends = state.get(axis)
        if not isinstance(ends, list | tuple) or len(ends) < 2:
            return None
        numbers = sorted(float(end) for end in ends)
        found.append((numbers[0], numbers[-1]))
    return found[0], found[1]


def bounds_in(ranges: tuple[Range, Range], x: Quantity, y: Quantity) -> list[Bound]:
    """A brush as bounds of columns, in the columns' own units."""
    return [
        Bound(q.column, *(float(f"{end * q.scale:.6g}") for end in (low, high)))
        for q, (low, high) in zip((x, y), ranges, strict=True)
    ]


def trials_in(report: pd.DataFrame, bounds: Iterable[Bound]) -> list[int]:
    """The designs of a report within all bounds, whether they are drawn or not."""
    inside = pd.Series(True, index=report.index)
    for bound in bounds:
        low = -np.inf if bound.low is None else bound.low
        high = np.inf if bound.high is None else bound.high
        inside &= report[bound.column].between(low, high)
    return [int(trial) for trial in report.loc[inside, "trial"]]

"""Growth: how much of the objectives' box the search, chance and the presets cover as they go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dashboard.frames.origins import PRESET, RANDOM, SEARCHED
from dashboard.scope import sources_of
from results import Objective, hypervolume, non_dominated

CHECKPOINTS = 60
COLUMNS = ("source", "trials", "hours", "share")


def growth_by_source(frame: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Share of one box that is dominated, by complete trials of a kind and hours since the start.

    The box reaches from the best values of all complete rows to the worst and a tenth beyond.
    Presets have one row: what all of them together dominate.
    """
    columns = [o.column for o in objectives]
    rows = frame[frame["state"].eq("complete")].dropna(subset=columns)
    if rows.empty:
        return pd.DataFrame({name: [] for name in COLUMNS})
    rows = rows.sort_values("told_at", kind="stable")
    signed = pd.DataFrame({o.column: o.signed(rows[o.column]) for o in objectives})
    span = (signed.max() - signed.min()).replace(0, 1.0)
    unit = (signed - signed.min()) / span
    hours = (rows["finished_at"] - frame["started_at"].min()).to_numpy(dtype=np.float64) / 3600
    hours = np.maximum.accumulate(hours)  # in order of events, whatever clocks did
    kinds = sources_of(rows["origin"])
    axes = [Objective(column, "min") for column in columns]
    parts = []
    for kind in (SEARCHED, RANDOM, PRESET):
        of_kind = kinds == kind
        if of_kind.any():
            whole = kind == PRESET
            grown = _growth(unit[of_kind], hours[of_kind], axes, 1 if whole else CHECKPOINTS)
            parts.append(grown.assign(source=kind))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _growth(
    unit: pd.DataFrame, hours: npt.NDArray[np.float64], axes: Sequence[Objective], points: int
) -> pd.DataFrame:
    """The share of the unit box (and a tenth) dominated by the first trials, at checkpoints."""
    corner = [1.1] * len(axes)
    first = 1 if points > 1 else len(unit)
    ends = np.unique(np.linspace(first, len(unit), points).astype(int))
    front = unit.iloc[:0]
    shares = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        front = pd.concat([front, unit.iloc[start:end]])
        front = front[non_dominated(front, axes)]
        shares.append(hypervolume(front, axes, corner) / 1.1 ** len(axes))
    return pd.DataFrame({"trials": ends, "hours": hours[ends - 1], "share": shares})

"""Growth: how much of the objectives' box the search, chance and the presets cover as they go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dashboard.frames.origins import PRESET, RANDOM, SEARCHED
from dashboard.scope import sources_of
from results import Objective
from results.box import Box, shares_as_it_grows

Floats = npt.NDArray[np.float64]

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
    signed = np.stack([o.signed(rows[o.column].to_numpy(dtype=float)) for o in objectives], axis=1)
    unit = Box.around(signed).unit(signed)
    hours = (rows["finished_at"] - frame["started_at"].min()).to_numpy(dtype=np.float64) / 3600
    hours = np.maximum.accumulate(hours)  # in order of events, whatever clocks did
    kinds = sources_of(rows["origin"])
    parts = []
    for kind in (SEARCHED, RANDOM, PRESET):
        of_kind = kinds == kind
        if of_kind.any():
            whole = kind == PRESET
            grown = _growth(unit[of_kind], hours[of_kind], 1 if whole else CHECKPOINTS)
            parts.append(grown.assign(source=kind))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _growth(unit: Floats, hours: Floats, points: int) -> pd.DataFrame:
    """The share of the box that the first trials dominate, at checkpoints."""
    first = 1 if points > 1 else len(unit)
    ends = np.unique(np.linspace(first, len(unit), points).astype(int))
    shares = shares_as_it_grows(unit, ends.tolist())
    return pd.DataFrame({"trials": ends, "hours": hours[ends - 1], "share": shares})

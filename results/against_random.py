"""Against random: whether what a strategy proposed is better than random designs, one for one.

From each kind equally many designs are drawn, again and again (bootstrap), and the volumes that
they dominate in one common box compared. Each counts by the training that its proposal had:
finalists were picked for being good and trained again, so what came of that counts for neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from results.box import Box, share_of_unit
from results.columns import numeric_columns
from results.designs import by_design, cells, columns_of, with_best_measured
from results.fronts import signed_points
from results.objectives import Objective
from results.origins import RANDOM, STRATEGY
from results.outcomes import given_back

Floats = npt.NDArray[np.float64]

DRAWS = 1000
# Designs of each kind below which nothing is said. In 300 simulated runs each, where searched
# designs are better by a tenth of the accuracy's range, 10 of each find it in 29 to 31%, 20 in
# 57 to 85% (three objectives, two). Equal kinds are told apart in 5 to 9% at 20 of each, in 6 to
# 7% at 40, in below 2% where there are four or more searched designs for a random one.
LEAST = 20
MOST = 1000  # designs of a kind in a draw: by then the interval is narrow, and volumes take time
OUTCOMES = ("complete", "pruned", "infeasible", "diverged")  # failed and lost are no design's fault


@dataclass(frozen=True, slots=True)
class RandomComparison:
    """Searched designs against random ones; the volumes are shares of the common box."""

    searched: int  # designs
    random: int
    drawn: int  # designs of each kind in one draw
    difference: float  # median over draws of searched - random; NaN if not enough
    low: float  # 95% of draws lie between low and high
    high: float
    reason: str | None  # why nothing can be said

    @property
    def enough(self) -> bool:
        """Whether the numbers allow to say anything."""
        return self.reason is None

    @property
    def sentence(self) -> str:
        """What comes of it, for people."""
        if self.reason is not None:
            return f"Nothing can be said of the search against random sampling: {self.reason}."
        figures = (
            f"drawing {self.drawn} designs of each, {self.difference:+.1%} of the box "
            f"({self.low:+.1%} to {self.high:+.1%})"
        )
        if self.low > 0:
            return f"Searched designs dominate more than random ones: {figures}."
        if self.high < 0:
            return f"Searched designs dominate less than random ones: {figures}."
        return f"Searched and random designs are within noise of each other: {figures}."


def against_random(
    frame: pd.DataFrame, objectives: Sequence[Objective], draws: int = DRAWS, seed: int = 0
) -> RandomComparison:
    """The comparison for a run's frame (one row per trial)."""
    frame = with_best_measured(_only(frame, objectives))
    kinds = [_points(frame, kind, objectives) for kind in (STRATEGY, RANDOM)]
    searched, random = (len(points) for points in kinds)
    drawn = min(searched, random, MOST)
    reason = _too_few(searched, random)
    if reason is None and not any(np.isfinite(points).any() for points in kinds):
        reason = "no design has a value for every objective"
    if reason is not None:
        nan = float("nan")
        return RandomComparison(searched, random, drawn, nan, nan, nan, reason)
    rng = np.random.default_rng(seed)
    box = Box.around(np.concatenate(kinds))
    units = [box.unit(points) for points in kinds]
    ours, theirs = ([_volume(unit, drawn, rng) for _ in range(draws)] for unit in units)
    gaps = np.subtract(ours, theirs)
    low, median, high = np.percentile(gaps, [2.5, 50, 97.5])
    return RandomComparison(searched, random, drawn, float(median), float(low), float(high), None)


def _too_few(searched: int, random: int) -> str | None:
    fewest = min(searched, random)
    if fewest >= LEAST:
        return None
    return f"it takes {LEAST} designs of each, but there are {searched} searched, {random} random"


def _only(frame: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """The frame without metrics that the objectives do not depend on."""
    columns = {o.column for o in objectives}
    needed = columns.union(
        *(c for c in (columns_of(n, frame) for n in cells(frame)) if columns & {*c})
    )
    return frame.drop(columns=[name for name in numeric_columns(frame) if name not in needed])


def _points(frame: pd.DataFrame, kind: str, objectives: Sequence[Objective]) -> Floats:
    """(N, M) of each design of a kind, smaller is better; inf for one that came to nothing."""
    of_kind = frame["origin"].astype(str).str.startswith(kind) & frame["state"].isin(OUTCOMES)
    rows = frame[of_kind & ~given_back(frame)]
    complete = signed_points(by_design(rows, objectives), objectives)
    nothing = np.full((rows["key"].nunique() - len(complete), len(objectives)), np.inf)
    return np.concatenate([complete, nothing])


def _volume(unit: Floats, drawn: int, rng: np.random.Generator) -> float:
    """Share of the box that a bootstrap sample dominates.

    So many are first set aside without replacement: drawn from more designs a sample would repeat
    fewer of them, and dominate more for that alone.
    """
    some = rng.choice(len(unit), drawn, replace=False, shuffle=False)
    return share_of_unit(unit[some[rng.integers(0, drawn, drawn)]])

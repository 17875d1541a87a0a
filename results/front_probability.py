"""Front probability: how sure it is that a design is on the front, given the noise."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt
import pandas as pd

from results.draws import Spread, spread_of
from results.noise import Noise
from results.objectives import Objective

Floats = npt.NDArray[np.float64]

DRAWS = 1000  # a share of a half is then good to 0.03, at 95%
LEAST_DRAWS = 50
MOST_POINTS = 2_000_000  # in all draws together, about a third of a second
SURE = 2.2  # deviations of each side: that a difference is of the other sign is below 1 in 70
PIVOTS = 50  # designs that others are compared with beforehand; leaving some out costs time alone


def front_probability(
    designs: pd.DataFrame,
    objectives: Sequence[Objective],
    noise: Noise,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.Series:
    """For each design the share of draws in which nothing dominates it; NA without known noise.

    Designs are drawn independently. Equal values of exact objectives stay on the front together.
    Where so many designs are in the running that it would take long, there are fewer draws.
    """
    spread = spread_of(designs, objectives, noise)
    share = np.zeros(len(designs))
    rows = _in_the_running(spread)
    if len(rows):
        draws = min(draws, max(LEAST_DRAWS, MOST_POINTS // len(rows)))
        share[rows] = _share_on_front(spread.at(rows), draws, np.random.default_rng(seed))
    found = pd.Series(share, index=designs.index, name="front_probability", dtype="Float64")
    return found.mask(spread.unknown)


def _share_on_front(spread: Spread, draws: int, rng: np.random.Generator) -> Floats:
    """(N,) shares of the draws."""
    count = np.zeros(len(spread.centre))
    for _ in range(draws):
        count += moocore.is_nondominated(spread.ranks(rng), keep_weakly=True)
    return count / draws


def _in_the_running(spread: Spread) -> npt.NDArray[np.intp]:
    """Rows that none of the surest front designs dominates at its worst, they at their best."""
    best = (spread.centre - SURE * spread.deviation).T.copy()  # (M, N): a column at a time
    beaten = np.zeros(best.shape[1], dtype=bool)
    pivots = _pivots(spread)
    for worst in spread.centre[pivots] + SURE * spread.deviation[pivots]:
        behind = [column >= end for column, end in zip(best, worst, strict=True)]
        ahead = [column > end for column, end in zip(best, worst, strict=True)]
        beaten |= np.logical_and.reduce(behind) & np.logical_or.reduce(ahead)
    return np.flatnonzero(~beaten)


def _pivots(spread: Spread) -> npt.NDArray[np.intp]:
    """Some of the rows that are on the front even at their worst, evenly along an objective."""
    if not len(spread.centre):
        return np.empty(0, dtype=np.intp)
    worst = spread.centre + SURE * spread.deviation
    surest = np.flatnonzero(moocore.is_nondominated(worst, keep_weakly=False))
    surest = surest[np.argsort(worst[surest, 0], kind="stable")]
    return surest[np.linspace(0, len(surest) - 1, min(PIVOTS, len(surest))).astype(int)]

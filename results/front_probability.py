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
SURE = 3.0  # deviations of a difference: that it is of the other sign is below 1 in 700
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
    """Rows that none of the surest front designs dominates beyond doubt."""
    rows = np.arange(len(spread.centre))
    for pivot in _pivots(spread):
        ahead = spread.centre[rows] - spread.centre[pivot]  # (R, M)
        doubt = SURE * np.hypot(spread.deviation[rows], spread.deviation[pivot])
        beaten = (ahead >= doubt).all(axis=1) & (ahead > 0).any(axis=1)
        rows = rows[~beaten]
    return rows


def _pivots(spread: Spread) -> npt.NDArray[np.intp]:
    """Some of the rows that are on the front even at their worst, evenly along an objective."""
    if not len(spread.centre):
        return np.empty(0, dtype=np.intp)
    worst = spread.centre + SURE * spread.deviation
    surest = np.flatnonzero(moocore.is_nondominated(worst, keep_weakly=False))
    surest = surest[np.argsort(worst[surest, 0], kind="stable")]
    return surest[np.linspace(0, len(surest) - 1, min(PIVOTS, len(surest))).astype(int)]

"""Rungs: in which order the trials of a rung go on, and how well a rung foretells the end.

The order is that of multi-objective asynchronous successive halving with an epsilon-net (Schmucker
et al. 2021, arXiv:2106.12639): by non-dominated rank, and within a rank the extremes first, then
whoever is farthest from those before. Points are arrays (trials, objectives), smaller is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import moocore
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

Points = npt.NDArray[np.float64]

SURE = 1.645  # one-sided 95% of a normal distribution
RANK_ERROR = 1.03  # of atanh(Spearman) is RANK_ERROR / sqrt(n - 3): Fieller et al. 1957
LATEST = 200  # finished trials that a rung is judged by; slopes are taken of all their pairs
ROBUST = 1.4826  # times the median absolute deviation is a normal one's standard deviation


class RungsConfig(BaseModel):
    """At which shares of its training a trial may be stopped, and what it takes to do so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: int = Field(
        default=3, ge=2, le=10, description="of the trials at a rung, one in so many goes on"
    )
    first: float = Field(
        default=0.11, gt=0, lt=1, description="smallest share of the training to judge a trial by"
    )
    least: int = Field(
        default=8,
        ge=4,
        description="finished trials that must show a rung's worth before it stops any",
    )
    margin: float = Field(
        default=1.0,
        ge=0,
        le=5,
        description="how much of what a rung can't foretell speaks for a trial; 0 stops the most",
    )

    @model_validator(mode="after")
    def _has_a_rung(self) -> RungsConfig:
        if len(self.shares) < 2:
            raise ValueError(
                f"with `factor` {self.factor}, `first` must be at most {1 / self.factor:.2g} to "
                f"leave a rung before the end, but got {self.first:g}; lower it, or write "
                "`rungs: none`"
            )
        return self

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the training budget, each `factor` times the one before, up to all of it."""
        found = [1.0]
        while found[0] / self.factor >= self.first:
            found.insert(0, found[0] / self.factor)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Foresight:
    """What the values at a rung say of the final ones, from trials that have both."""

    trials: int
    correlation_low: float  # 95% lower bound of the rank correlation
    margin: float  # one residual standard deviation of the final value, in units of the rung's


BLIND = Foresight(0, -1.0, math.inf)


def foresight(at_rung: npt.ArrayLike, at_end: npt.ArrayLike) -> Foresight:
    """From values in the order in which the trials finished; the latest count.

    A line through them, by the median of the slopes of all pairs (Sen 1968), leaves the residuals.
    """
    x = np.asarray(at_rung, dtype=np.float64)[-LATEST:]
    y = np.asarray(at_end, dtype=np.float64)[-LATEST:]
    count = len(x)
    if count < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Foresight(count, -1.0, math.inf)
    ranks = np.stack([pd.Series(values).rank().to_numpy() for values in (x, y)])
    correlation = float(np.clip(np.corrcoef(ranks[0], ranks[1])[0, 1], -0.9999, 0.9999))
    low = math.tanh(math.atanh(correlation) - SURE * RANK_ERROR / math.sqrt(count - 3))
    one, other = np.triu_indices(count, 1)
    differ = x[one] != x[other]
    slope = float(np.median((y[one] - y[other])[differ] / (x[one] - x[other])[differ]))
    residuals = y - slope * x
    spread = ROBUST * float(np.median(np.abs(residuals - np.median(residuals))))
    return Foresight(count, low, spread / slope if slope > 0 else math.inf)


def order_of(points: Points) -> list[int]:
    """All trials of a rung, first to go on first."""
    ranks, box, found = moocore.pareto_rank(points), _box(points), []
    for rank in range(int(ranks.max()) + 1):
        same = np.flatnonzero(ranks == rank)
        found += [int(i) for i in same[_net(points[same], *box)]]
    return found


def kept(points: Points, count: int) -> list[int]:
    """The first `count` of the order, by rank; the order within a rank is found for the last."""
    ranks, box, found = moocore.pareto_rank(points), _box(points), []
    for rank in range(int(ranks.max()) + 1):
        same, room = np.flatnonzero(ranks == rank), count - len(found)
        if len(same) > room:
            same = same[_net(points[same], *box)[:room]]
        found += [int(i) for i in same]
        if len(found) == count:
            break
    return found


def place_of(points: Points, index: int) -> int:
    """How many trials come before this one."""
    ranks = moocore.pareto_rank(points)
    better = int((ranks < ranks[index]).sum())
    same = np.flatnonzero(ranks == ranks[index])
    return better + [int(i) for i in same[_net(points[same], *_box(points))]].index(index)


def dominates(a: Points, b: Points) -> npt.NDArray[np.bool_]:
    """Whether the points `a` dominate the points `b`, broadcast over all axes but the last."""
    return np.asarray((a <= b).all(axis=-1) & (a < b).any(axis=-1))


def _box(points: Points) -> tuple[Points, Points]:
    """The rung's best value of each objective, and its range, 1 where all are alike."""
    low = points.min(axis=0)
    span = points.max(axis=0) - low
    return low, np.where(span > 0, span, 1.0)


def _net(points: Points, low: Points, span: Points) -> list[int]:
    """The order within one rank; of equals, the earlier trial is first."""
    scaled = (points - low) / span
    chosen: list[int] = []
    for objective in range(points.shape[1]):
        columns = [points[:, objective], *np.roll(points, -objective, axis=1).T]
        best = int(np.lexsort(columns[::-1])[0])
        chosen += [] if best in chosen else [best]
    away = np.full(len(points), np.inf)
    for one in chosen:
        away = np.minimum(away, np.linalg.norm(scaled - scaled[one], axis=1))
    away[chosen] = -1.0
    while len(chosen) < len(points):
        farthest = int(np.argmax(away))
        chosen.append(farthest)
        away = np.minimum(away, np.linalg.norm(scaled - scaled[farthest], axis=1))
        away[farthest] = -1.0
    return chosen

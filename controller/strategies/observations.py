"""Observations: what strategies with a model learn from, one line per candidate.

A trial that was stopped at a rung says something of its end: the value there, taken to the end by
the line through trials that have both, with the spread around that line as its variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller.candidates import Candidate
from controller.strategies.surrogate import Numbers
from results import Objective, TrialRow

ENOUGH = 5  # trials with both values, to draw a line through
BAD = ("infeasible", "diverged", "failed")


@dataclass(frozen=True)
class Observed:
    """Lines in the order of the first result; smaller is better."""

    candidates: list[Candidate]
    points: Numbers  # (candidates, objectives)
    extra: Numbers  # variance of each beyond the noise of a full training, likewise
    complete: npt.NDArray[np.bool_]  # trained to the end

    @property
    def front(self) -> Numbers:
        """Points of the complete ones."""
        return self.points[self.complete]


class Observations:
    """Rows as they are told."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = objectives
        self.rows: list[TrialRow] = []  # with all objectives, complete or at a rung
        self.candidates: dict[str, Candidate] = {}  # by key
        self.bad: dict[str, Candidate] = {}  # those that ended without a result
        self.good: dict[str, Candidate] = {}  # those that did not
        self.costs: dict[str, tuple[Candidate, Numbers]] = {}  # as `measured_costs`, by key
        self._measuring_s: dict[str, float] = {}  # seconds, by key
        self.measuring_shares: list[float] = []  # of the time of a training

    def measured_costs(self, row: TrialRow) -> Numbers | None:
        """The objectives of a trial that was measured and not trained yet, smaller is better.

        nan for those that only training tells; None for a row that says something else.
        """
        known = [o.column in row.metrics for o in self._objectives]
        if row.state not in ("pruned", "passed") or all(known):
            return None
        return np.array(
            [
                float(o.signed(row.metrics[o.column])) if is_known else np.nan
                for o, is_known in zip(self._objectives, known, strict=True)
            ]
        )

    def take(self, row: TrialRow) -> None:
        """Keep what a row says."""
        seconds = row.finished_at - row.started_at
        if (costs := self.measured_costs(row)) is not None:
            self.costs[row.key] = Candidate.of(row), costs
            self._measuring_s[row.key] = seconds
            return
        # the row of a trial that rungs stopped on its way has the time of its last stretch alone
        if row.state == "complete" and row.rung == 1 and row.key in self._measuring_s and seconds:
            self.measuring_shares.append(self._measuring_s.pop(row.key) / seconds)
        if row.state in BAD:
            self.bad.setdefault(row.key, Candidate.of(row))
        elif row.state != "lost" and all(o.column in row.metrics for o in self._objectives):
            self.rows.append(row)
            if row.key not in self.candidates:
                self.candidates[row.key] = self.good[row.key] = Candidate.of(row)

    def observed(self, count: int | None = None) -> Observed:
        """What the first `count` rows say, all of them if left out."""
        by_key: dict[str, dict[int, list[Numbers]]] = {}  # points by rung
        ended: set[str] = set()
        last = 0
        for row in self.rows[:count]:
            point = np.array([float(o.signed(row.metrics[o.column])) for o in self._objectives])
            by_key.setdefault(row.key, {}).setdefault(row.rung, []).append(point)
            if row.state == "complete":
                ended.add(row.key)
                last = max(last, row.rung)
        means = {
            key: {rung: np.mean(points, axis=0) for rung, points in rungs.items()}
            for key, rungs in by_key.items()
        }
        both = [rungs for key, rungs in means.items() if key in ended]  # a set has no order
        points, extra = [], []
        for key, rungs in means.items():
            rung = last if key in ended and last in rungs else max(rungs)
            foretold = rungs[rung], np.zeros(len(self._objectives))
            if key not in ended:
                foretold = _foretold(rungs[rung], rung, last, both)
            points.append(foretold[0])
            extra.append(foretold[1])
        shape = (len(means), len(self._objectives))
        return Observed(
            [self.candidates[key] for key in means],
            np.array(points).reshape(shape),
            np.array(extra).reshape(shape),
            np.array([key in ended for key in means], dtype=bool),
        )


def _foretold(
    point: Numbers, rung: int, last: int, both: Sequence[dict[int, Numbers]]
) -> tuple[Numbers, Numbers]:
    """A point at a rung taken to the end, and the variance of each objective around it."""
    pairs = [(rungs[rung], rungs[last]) for rungs in both if rung in rungs and last in rungs]
    if len(pairs) < ENOUGH:
        return point, np.zeros(len(point))
    early, late = (np.array(side) for side in zip(*pairs, strict=True))
    found, variance = point.copy(), np.zeros(len(point))
    for axis in range(len(point)):
        x, y = early[:, axis], late[:, axis]
        if np.array_equal(x, y):  # a cost, the same at every rung
            continue
        slope, start = np.polyfit(x, y, 1) if np.ptp(x) > 0 else (0.0, y.mean())
        line = start + slope * np.clip(point[axis], x.min(), x.max())
        found[axis] = np.clip(line, y.min(), y.max())
        variance[axis] = ((y - start - slope * x) ** 2).sum() / (len(x) - 2)
    return found, variance

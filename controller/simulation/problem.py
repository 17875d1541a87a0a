"""Problem: something to search with known results, and how far from its best front one is.

Regret is 1 - hypervolume / the best hypervolume known, in a box that scales objectives to 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import moocore
import numpy as np
import numpy.typing as npt

from controller.candidates import Candidate
from controller.strategies.interface import SearchSpace
from results import Objective

Points = npt.NDArray[np.float64]
SHARE_SLACK = 0.05  # steps are whole: a ninth of 500 is 55 or 56


def _unit_seconds(_: Candidate) -> float:
    return 1.0


@dataclass(frozen=True)
class Problem:
    """A space whose every candidate has a result, and the box to judge fronts in."""

    name: str
    space: SearchSpace
    objectives: tuple[Objective, ...]
    ideal: tuple[float, ...]
    ref: tuple[float, ...]  # the worst that still counts, per objective
    hv_best: float  # best hypervolume known of the scaled box, reference point 1
    measure: Callable[[Candidate, float], Mapping[str, float]] = field(repr=False)
    full_seconds: Callable[[Candidate], float] = field(default=_unit_seconds, repr=False)
    known: tuple[str, ...] = ()  # objectives that need no training; `space.known` gives them
    shares: tuple[float, ...] | None = None  # of the training budget that have a result
    measured: tuple[str, ...] = ()  # objectives that are measured before training
    measuring: float = 0.05  # of a whole training, what measuring takes

    def evaluate(self, candidate: Candidate, share: float = 1.0) -> Mapping[str, float]:
        """Metrics after a share of the training; an objective is missing if it diverged.

        After none of it, those that were measured and those that are known.
        """
        if share == 0:
            whole = self.measure(candidate, 1.0)
            return {name: whole[name] for name in (*self.known, *self.measured) if name in whole}
        if self.shares is None:
            return self.measure(candidate, 1.0)
        nearest = min(self.shares, key=lambda known: abs(known - share))
        if abs(nearest - share) > SHARE_SLACK * share:
            raise ValueError(
                f"{self.name} has results after shares {self.shares} of the training, "
                f"but {share} was asked for; use one of these"
            )
        return self.measure(candidate, nearest)

    def seconds(self, candidate: Candidate, share: float = 1.0) -> float:
        """Simulated time of this share of a trial, measuring included."""
        return share * self.full_seconds(candidate)

    def point(self, metrics: Mapping[str, float]) -> list[float] | None:
        """The objectives in order; None if one is missing."""
        if any(objective.column not in metrics for objective in self.objectives):
            return None
        return [metrics[objective.column] for objective in self.objectives]

    def scaled(self, points: Sequence[Sequence[float]] | Points) -> Points:
        """Points in the box: 0 is as good as `ideal`, 1 is as bad as `ref`."""
        low, high = np.array(self.ideal), np.array(self.ref)
        rows = np.array(points, dtype=float).reshape(-1, len(low))
        return (rows - low) / (high - low)

    def hypervolume(self, points: Sequence[Sequence[float]] | Points) -> float:
        """Of the box, with points outside it dropped and what is better than ideal clipped."""
        return self._volume(self._inside(points))

    def regret(self, points: Sequence[Sequence[float]] | Points) -> float:
        """Share of the best hypervolume known that is missing; below 0 if beaten."""
        return 1.0 - self.hypervolume(points) / self.hv_best

    def regrets(self, points: Sequence[Sequence[float] | None]) -> list[float]:
        """Regret after each evaluation; None is one that gave no point."""
        front, regret = np.empty((0, len(self.ideal))), 1.0
        found: list[float] = []
        for point in points:
            new = self._inside([] if point is None else [point])
            if len(new) and not (front <= new).all(axis=1).any():
                front = np.vstack([front[~(new <= front).all(axis=1)], new])
                regret = 1.0 - self._volume(front) / self.hv_best
            found.append(regret)
        return found

    def _inside(self, points: Sequence[Sequence[float]] | Points) -> Points:
        scaled = self.scaled(points)
        return np.maximum(scaled[(scaled < 1).all(axis=1)], 0.0)

    def _volume(self, inside: Points) -> float:
        ones = np.ones(len(self.ideal))
        return float(moocore.hypervolume(inside, ref=ones)) if len(inside) else 0.0

"""Acquisition: the expected gain in hypervolume of candidates, from models of their objectives.

Hypervolume is measured in a box that holds the front and whatever of the pool is expected to be on
it: the front's own extremes alone would keep the search within them, as would quantiles of what
was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import moocore
import numpy as np

from controller.candidates import Candidate
from controller.strategies.features import Features
from controller.strategies.improvement import FreeRegion
from controller.strategies.objective_model import ObjectiveModel
from controller.strategies.observations import Observed
from controller.strategies.surrogate import RELEVANCE, Numbers, Shape, Surrogate
from controller.strategies.warps import Warp

MARGIN = 0.1  # of the box's extent, beyond its worst values
FAR = 0.5  # of the told extent, beyond which no expectation stretches the box
UNLIKELY = 0.02  # least chance of a result, so that no mistake is for ever
FAILURE_NOISE = -3.0  # log of noise over signal in what ends without a result


class Models:
    """What every objective will be: exact where it is known, by a surrogate where it is not."""

    def __init__(
        self,
        features: Features,
        observed: Observed,
        found: Sequence[tuple[Warp, Shape] | None],
        measured: Mapping[str, tuple[Candidate, Numbers]],
    ) -> None:
        """`found` holds the shape of each objective's surrogate, None for those always known.

        `measured` holds candidates that may not have been trained, and their objectives as
        `Observations.measured_costs` gives them.
        """
        self.features, self._measured = features, measured
        told = {one.key for one in observed.candidates}
        untold = [pair for key, pair in measured.items() if key not in told]
        self._of: list[ObjectiveModel | None] = [
            None if best is None else self._model(axis, best, observed, untold)
            for axis, best in enumerate(found)
        ]

    def _model(
        self,
        axis: int,
        best: tuple[Warp, Shape],
        observed: Observed,
        untold: Sequence[tuple[Candidate, Numbers]],
    ) -> ObjectiveModel:
        """From all that have a value of this objective, trained or not."""
        more = [(one, costs[axis]) for one, costs in untold if not np.isnan(costs[axis])]
        rows = self.features.of([*observed.candidates, *(one for one, _ in more)])
        values = np.append(observed.points[:, axis], [value for _, value in more])
        extra = np.append(observed.extra[:, axis], np.zeros(len(more)))
        return ObjectiveModel(rows, values, self.features.groups, extra, best)

    def _certain(self, candidates: Sequence[Candidate]) -> Numbers:
        """What was counted or measured, nan elsewhere: (candidates, objectives)."""
        points = self.features.costs(candidates)
        for index, candidate in enumerate(candidates):
            if candidate.key in self._measured:
                costs = self._measured[candidate.key][1]
                points[index] = np.where(np.isnan(costs), points[index], costs)
        return points

    def expected(self, candidates: Sequence[Candidate]) -> Numbers:
        """(candidates, objectives)"""
        points, rows = self._certain(candidates), self.features.of(candidates)
        for axis, model in enumerate(self._of):
            if model is not None:
                points[:, axis] = np.where(
                    np.isnan(points[:, axis]), model.mean(rows), points[:, axis]
                )
        return points

    def draws(
        self, candidates: Sequence[Candidate], normal: Numbers, noisy: Sequence[bool] = ()
    ) -> Numbers:
        """What is likely at standard normal numbers (draws, objectives).

        (draws, candidates, objectives); `noisy` as in `ObjectiveModel.draws`, by objective.
        """
        noisy = noisy or [False] * len(self._of)
        rows = self.features.of(candidates)
        points = np.empty((len(normal), len(candidates), len(self._of)))
        points[:] = self._certain(candidates)
        for axis, model in enumerate(self._of):
            if model is not None:
                drawn = model.draws(rows, normal[:, axis], noisy=noisy[axis])
                points[:, :, axis] = np.where(
                    np.isnan(points[:, :, axis]), drawn, points[:, :, axis]
                )
        return points


def chance_of_a_result(
    features: Features, good: Sequence[Candidate], bad: Sequence[Candidate]
) -> Surrogate | None:
    """A surrogate of 1 for those that gave a result and 0 for the others; None if all agree."""
    if not bad or not good:
        return None
    shape = Shape(np.full(len(set(features.groups)), RELEVANCE), FAILURE_NOISE, 0.0)
    values = np.repeat([1.0, 0.0], [len(good), len(bad)])
    return Surrogate(features.of([*good, *bad]), values, features.groups, shape)


class Acquisition:
    """Expected gain in hypervolume, times the chance of a result at all."""

    def __init__(
        self,
        models: Models,
        chance: Surrogate | None,
        observed: Observed,
        pending: Sequence[Candidate],
        pool: Sequence[Candidate],
        normal: Numbers,
    ) -> None:
        self._models, self._chance, self._normal = models, chance, normal
        front = observed.front
        if pending:
            front = np.vstack([front, models.expected(pending)])
        front = front[moocore.is_nondominated(front)]
        low, high = box_of(front, models.expected(pool), observed.points)
        self._low, self._wide = low, np.where(high > low, high - low, 1.0)
        ref = (high - low) / self._wide + MARGIN
        self._region = FreeRegion((front - low) / self._wide, ref)

    def __call__(self, candidates: Sequence[Candidate]) -> Numbers:
        """(candidates,)"""
        points = self._models.draws(candidates, self._normal)
        return self._gains(points).mean(axis=0) * self._chances(candidates)

    def worth_measuring(
        self, candidates: Sequence[Candidate], measured: Sequence[bool], price: float
    ) -> Numbers:
        """The gain to have in hand at which measuring one more candidate would not pay.

        (candidates,); `measured` marks the objectives that this tells, `price` is its cost in
        gain. It is the z of E[max(gain - z, 0)] = price over what measuring may tell (Weitzman
        1979, "Optimal search for the best alternative").
        """
        count = len(self._normal)
        told, left = np.repeat(self._normal, count, axis=0), np.tile(self._normal, (count, 1))
        points = self._models.draws(candidates, np.where(measured, told, left), measured)
        gains = self._gains(points).reshape(count, count, -1).mean(axis=1)
        best_first = -np.sort(-gains * self._chances(candidates), axis=0)
        each = np.arange(1, count + 1)[:, None]
        # if the best k exceed z, z is (their sum - count * price) / k; the largest such is it
        return ((np.cumsum(best_first, axis=0) - count * price) / each).max(axis=0)

    def _gains(self, points: Numbers) -> Numbers:
        """Of points (draws, candidates, objectives): (draws, candidates)."""
        scaled = (points - self._low) / self._wide
        return self._region.gains(scaled.reshape(-1, points.shape[2])).reshape(len(points), -1)

    def _chances(self, candidates: Sequence[Candidate]) -> Numbers:
        if self._chance is None:
            return np.ones(len(candidates))
        rows = self._models.features.of(candidates)
        return np.clip(self._chance.predict(rows)[0], UNLIKELY, 1.0)


def box_of(front: Numbers, expected: Numbers, told: Numbers) -> tuple[Numbers, Numbers]:
    """The best and the worst of the front and of what is expected on it, objective by objective.

    What is expected counts up to half the told extent beyond what was told: far from everything a
    model may be wrong.
    """
    slack = FAR * np.ptp(told, axis=0)
    near = np.clip(expected, told.min(axis=0) - slack, told.max(axis=0) + slack)
    both = np.vstack([front, near])
    best = both[moocore.is_nondominated(both)]
    return best.min(axis=0), best.max(axis=0)

"""Acquisition: the expected gain in hypervolume of candidates, from models of their objectives.

Hypervolume is measured in a box that holds the front and whatever of the pool is expected to be on
it: the front's own extremes alone would keep the search within them, as would quantiles of what
was found.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    ) -> None:
        self.features = features
        rows, points, extra = features.of(observed.candidates), observed.points, observed.extra
        self._of: list[ObjectiveModel | None] = [
            None
            if best is None
            else ObjectiveModel(rows, points[:, axis], features.groups, extra[:, axis], best)
            for axis, best in enumerate(found)
        ]

    def expected(self, candidates: Sequence[Candidate]) -> Numbers:
        """(candidates, objectives)"""
        points, rows = self.features.costs(candidates), self.features.of(candidates)
        for axis, model in enumerate(self._of):
            if model is not None:
                points[:, axis] = model.mean(rows)
        return points

    def draws(self, candidates: Sequence[Candidate], normal: Numbers) -> Numbers:
        """What is likely at standard normal numbers (draws, objectives).

        (draws, candidates, objectives)
        """
        rows = self.features.of(candidates)
        points = np.empty((len(normal), len(candidates), len(self._of)))
        points[:] = self.features.costs(candidates)
        for axis, model in enumerate(self._of):
            if model is not None:
                points[:, :, axis] = model.draws(rows, normal[:, axis])
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
        scaled = (points - self._low) / self._wide
        gains = self._region.gains(scaled.reshape(-1, points.shape[2]))
        return gains.reshape(len(points), -1).mean(axis=0) * self._chances(candidates)

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

"""Model-based search: a surrogate for each objective, and the largest expected improvement.

The expected gain in hypervolume over the front (Emmerich et al. 2006; Daulton et al. 2020,
arXiv:2006.05078), by a fixed set of quasi-random draws, over a pool of structured candidates and
moves of the front, then climbing from the best. Objectives that are known without training are
taken as they are, whatever else is known helps to predict, and the chance that a trial gives a
result at all has a surrogate of its own. Candidates still out count with what is expected of them.

Hypervolume is measured in a box that holds the front and whatever of the pool is expected to be on
it: the front's own extremes alone would keep the search within them, as would quantiles of what
was found.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
from scipy.stats import norm, qmc

from controller.candidates import Candidate
from controller.strategies.improvement import FreeRegion
from controller.strategies.interface import Proposal, SearchSpace
from controller.strategies.objective_model import ObjectiveModel, best_shape
from controller.strategies.observations import Observations, Observed
from controller.strategies.pool import Pool
from controller.strategies.random_search import new_candidate
from controller.strategies.surrogate import RELEVANCE, Numbers, Shape, Surrogate
from controller.strategies.warps import Warp
from results import Objective, TrialRow

FIRST = 5  # candidates spread over the space before a model is asked
DRAWS = 16
MARGIN = 0.1  # of the box's extent, beyond its worst values
FAR = 0.5  # of the told extent, beyond which no expectation stretches the box
CLIMBS, CLIMBERS, MOVES = 2, 8, 8  # rounds, candidates, moves of each
UNLIKELY = 0.02  # least chance of a result, so that no mistake is for ever
FAILURE_NOISE = -3.0  # log of noise over signal in what ends without a result


class ModelBased:
    """Ask is a function of the seed and of what was handed out and told."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._objectives, self._seed = space, objectives, seed
        self._observations = Observations(objectives)
        self._out: dict[str, Candidate] = {}  # handed out, by key
        self._ended: set[str] = set()
        self._pool = Pool(space, seed)
        self._features = Features(space, objectives)
        self._shapes: dict[tuple[int, int], tuple[Warp, Shape]] = {}  # by rows and objective
        sobol = qmc.Sobol(len(objectives), rng=np.random.default_rng(0)).random(DRAWS)
        self._normal = norm.ppf(np.clip(sobol, 1e-3, 1 - 1e-3))  # (draws, objectives)

    def ask(self) -> Proposal | None:
        rng = np.random.default_rng([self._seed, len(self._out), 5])
        observed = self._observations.observed()
        if not self._features.groups:  # a space of one candidate
            found, part = None, ""
        elif len(self._out) < FIRST or observed.complete.sum() < 2:
            found, part = self._spread(rng), "spread"
        else:
            found, part = self._best(observed, rng), "model"
        found = found or new_candidate(self._space, rng, self._out)
        return None if found is None else Proposal(found, part)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        self._out[candidate.key] = candidate

    def tell(self, row: TrialRow) -> None:
        self._observations.take(row)
        if row.state not in ("lost", "passed"):
            self._ended.add(row.key)

    def _spread(self, rng: np.random.Generator) -> Candidate | None:
        """The structured candidate farthest from all that went out."""
        pool = self._pool.around((), 0, rng, self._out)
        if not pool:
            return None
        if not self._out:
            return pool[int(rng.integers(len(pool)))]
        rows = self._features.of([*pool, *self._out.values()])
        scale = self._features.even_scale
        rows = rows * scale
        new, old = rows[: len(pool)], rows[len(pool) :]
        far = (new**2).sum(1)[:, None] + (old**2).sum(1) - 2 * new @ old.T
        return pool[int(np.argmax(far.min(axis=1)))]

    def _best(self, observed: Observed, rng: np.random.Generator) -> Candidate | None:
        """The candidate with the largest expected gain."""
        complete = observed.points[observed.complete]
        on_front = np.flatnonzero(observed.complete)[moocore.is_nondominated(complete)]
        front = [observed.candidates[i] for i in on_front]
        pool = self._pool.around(front, len(self._out), rng, self._out)
        if not pool:
            return None
        acquisition = self._acquisition(observed, pool)
        gains = acquisition(pool)
        for _ in range(0 if self._pool.whole else CLIMBS):
            best = [pool[i] for i in np.argsort(-gains, kind="stable")[:CLIMBERS]]
            known = {one.key for one in pool} | self._out.keys()
            more = self._pool.near(best, MOVES, rng, known.__contains__)
            if more:
                pool, gains = [*pool, *more], np.concatenate([gains, acquisition(more)])
        return pool[int(np.argmax(gains))]

    def _acquisition(self, observed: Observed, pool: Sequence[Candidate]) -> Acquisition:
        pending = [one for key, one in self._out.items() if key not in self._ended]
        found = [
            self._shape(axis) if column is None else None
            for axis, column in enumerate(self._features.exact)
        ]
        models = Models(self._features, observed, found)
        chance = chance_of_a_result(self._features, *self._chance_rows())
        return Acquisition(models, chance, observed, pending, pool, self._normal)

    def _shape(self, axis: int) -> tuple[Warp, Shape]:
        """Of an objective's surrogate; fitted anew when there is an eighth more to learn from.

        From the rows up to then alone, so that it follows from the log and not from who asked.
        """
        count = len(self._observations.rows)
        step = 1 << max(0, (count // 8).bit_length() - 1)
        key = count - count % step, axis
        if key not in self._shapes:
            past = self._observations.observed(key[0])
            rows = self._features.of(past.candidates)
            values, extra = past.points[:, axis], past.extra[:, axis]
            self._shapes[key] = best_shape(rows, values, self._features.groups, extra)
        return self._shapes[key]

    def _chance_rows(self) -> tuple[list[Candidate], list[Candidate]]:
        bad = [c for key, c in self._observations.bad.items() if key not in self._observations.good]
        return list(self._observations.good.values()), bad


class Features:
    """Candidates as rows of numbers: their encoding and the logarithm of what else is known."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        self._space, self._objectives = space, objectives
        self._rows: dict[str, Numbers] = {}
        known = space.known(space.sample(np.random.default_rng(0)))
        self._known = sorted(known)
        self.exact = [o.column if o.column in known else None for o in objectives]
        self.groups = [*space.groups, *(f"known {name}" for name in self._known)]
        sizes = {group: self.groups.count(group) for group in dict.fromkeys(self.groups)}
        self.even_scale = np.array([sizes[group] ** -0.5 for group in self.groups])
        self._costs: dict[str, Numbers] = {}
        self._low, self._span = self._range()

    def _range(self) -> tuple[Numbers, Numbers]:
        """Of the known metrics' logarithms, over candidates of a fixed draw."""
        rng = np.random.default_rng(1)
        drawn = [self._space.sample_structured(rng) for _ in range(64 if self._known else 0)]
        logs = np.array([self._log_known(one) for one in drawn])
        logs = logs.reshape(len(drawn), len(self._known))
        if not len(logs):
            return np.zeros(len(self._known)), np.ones(len(self._known))
        span = np.ptp(logs, axis=0)
        return logs.min(axis=0), np.where(span > 0, span, 1.0)

    def of(self, candidates: Sequence[Candidate]) -> Numbers:
        """(candidates, columns)"""
        new = [one for one in candidates if one.key not in self._rows]
        if new:
            encoded = self._space.encode(new)
            for one, row in zip(new, encoded, strict=True):
                known = (self._log_known(one) - self._low) / self._span
                self._rows[one.key] = np.concatenate([row, known])
        return np.array([self._rows[one.key] for one in candidates])

    def costs(self, candidates: Sequence[Candidate]) -> Numbers:
        """The objectives that are known, smaller is better; the others nan."""
        return np.array([self._cost(one) for one in candidates])

    def _cost(self, candidate: Candidate) -> Numbers:
        if candidate.key not in self._costs:
            known = self._space.known(candidate)
            self._costs[candidate.key] = np.array(
                [
                    float(o.signed(known[o.column])) if column else np.nan
                    for o, column in zip(self._objectives, self.exact, strict=True)
                ]
            )
        return self._costs[candidate.key]

    def _log_known(self, candidate: Candidate) -> Numbers:
        known = self._space.known(candidate) if self._known else {}
        return np.array([np.log1p(max(0.0, known[name])) for name in self._known])


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
        low, high = _box(front, models.expected(pool), observed.points)
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


def _box(front: Numbers, expected: Numbers, told: Numbers) -> tuple[Numbers, Numbers]:
    """The best and the worst of the front and of what is expected on it, objective by objective.

    What is expected counts up to half the told extent beyond what was told: far from everything a
    model may be wrong.
    """
    slack = FAR * np.ptp(told, axis=0)
    near = np.clip(expected, told.min(axis=0) - slack, told.max(axis=0) + slack)
    both = np.vstack([front, near])
    best = both[moocore.is_nondominated(both)]
    return best.min(axis=0), best.max(axis=0)

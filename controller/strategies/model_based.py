"""Model-based search: a surrogate for each objective, and the largest expected improvement.

The expected gain in hypervolume over the front (Emmerich et al. 2006; Daulton et al. 2020,
arXiv:2006.05078), by a fixed set of quasi-random draws, over a pool of structured candidates and
moves of the front, then climbing from the best. Objectives that are known without training are
taken as they are, whatever else is known helps to predict, and the chance that a trial gives a
result at all has a surrogate of its own. Candidates still out count with what is expected of them.

Where costs are measured before training, a candidate whose costs disappoint is given back for one
that promises more, and may be proposed again with its costs known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import moocore
import numpy as np
from scipy.stats import norm, qmc

from controller.candidates import Candidate
from controller.strategies.acquisition import Acquisition, Models, chance_of_a_result
from controller.strategies.features import Features
from controller.strategies.interface import BY_MODEL, Proposal, SearchSpace
from controller.strategies.objective_model import best_shape
from controller.strategies.observations import Observations, Observed
from controller.strategies.pool import Pool
from controller.strategies.random_search import new_candidate
from controller.strategies.surrogate import Numbers, Shape
from controller.strategies.warps import Warp
from results import Objective, TrialRow
from results.outcomes import NOT_TRAINED

FIRST = 5  # candidates spread over the space before a model is asked
DRAWS = 16
CLIMBS, CLIMBERS, MOVES = 2, 8, 8  # rounds, candidates, moves of each
PATIENCE = 4  # candidates in a row that are given back at most
UNMEASURED, PRICE = 8, 0.1  # others to compare with; measuring, in trainings, before that is seen


class ModelBased:
    """Ask is a function of the seed and of what was handed out and told."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._objectives, self._seed = space, objectives, seed
        self._observations = Observations(objectives)
        self._out: dict[str, Candidate] = {}  # handed out, by key
        self._ended: set[str] = set()
        self._given_back: dict[str, Candidate] = {}  # measured, not trained; by key
        self._in_a_row = 0  # given back since a training began
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
            found, part = self._best(observed, rng), BY_MODEL
        found = found or new_candidate(self._space, rng, self._out)
        return None if found is None else Proposal(found, part)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        self._out[candidate.key] = candidate
        if self._given_back.pop(candidate.key, None) is not None:
            self._ended.discard(candidate.key)
            self._in_a_row = 0

    def tell(self, row: TrialRow) -> None:
        self._observations.take(row)
        if row.state not in ("lost", "passed"):
            self._ended.add(row.key)
        if row.key not in self._out or self._observations.measured_costs(row) is None:
            return
        if row.state == "pruned":
            self._given_back[row.key] = self._out[row.key]
            self._in_a_row += 1
        else:
            self._in_a_row = 0

    def is_given_back(self, key: str) -> bool:
        """Whether a candidate was measured and is not trained, so far."""
        return key in self._given_back

    def against(self, row: TrialRow) -> str | None:
        observed = self._observations.observed()
        costs = self._observations.measured_costs(row)
        if costs is None or row.key not in self._out or observed.complete.sum() < 2:
            return None
        measured = [not np.isnan(cost) for cost in costs]
        counted = [column is not None for column in self._features.exact]
        if not any(m > c for m, c in zip(measured, counted, strict=True)):
            return None  # measuring said nothing new
        rng = np.random.default_rng([self._seed, len(self._out), self._in_a_row, 8])
        own = self._out[row.key]
        judged = self._judged(observed, rng, {row.key: (own, costs)})
        assert judged is not None, "this candidate itself is in the pool"
        pool, gains, acquisition = judged
        gain = float(gains[pool.index(own)])
        known = np.array([one.key == row.key or one.key in self._given_back for one in pool])
        if gain < gains[known].max():
            return f"{NOT_TRAINED}: another that was measured promises more"
        if self._in_a_row >= PATIENCE:
            return None
        others = [pool[i] for i in np.argsort(-gains, kind="stable") if not known[i]][:UNMEASURED]
        price = float(np.median(self._observations.measuring_shares or [PRICE])) * gains.max()
        if not others or gain >= acquisition.worth_measuring(others, measured, price).max():
            return None
        return f"{NOT_TRAINED}: with these costs it promises less than others"

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
        """The candidate with the largest expected gain; one that was measured, if it is time."""
        judged = self._judged(observed, rng, {})
        if judged is None:
            return None
        pool, gains, _ = judged
        if self._impatient:
            known = [one.key in self._given_back for one in pool]
            gains = np.where(known, gains, -np.inf)
        return pool[int(np.argmax(gains))]

    @property
    def _impatient(self) -> bool:
        """Whether one of those that were given back is due."""
        return self._in_a_row >= PATIENCE and bool(self._given_back)

    def _judged(
        self,
        observed: Observed,
        rng: np.random.Generator,
        returning: Mapping[str, tuple[Candidate, Numbers]],
    ) -> tuple[list[Candidate], Numbers, Acquisition] | None:
        """A pool, the expected gain of each in it, and what gives it.

        Those `returning` are in it with their costs, as are those that were given back before.
        """
        complete = observed.points[observed.complete]
        on_front = np.flatnonzero(observed.complete)[moocore.is_nondominated(complete)]
        front = [observed.candidates[i] for i in on_front]
        pool = self._pool.around(front, len(self._out), rng, self._out)
        pool += [*self._given_back.values(), *(one for one, _ in returning.values())]
        if not pool:
            return None
        acquisition = self._acquisition(observed, pool, returning)
        gains = acquisition(pool)
        for _ in range(0 if self._pool.whole else CLIMBS):
            best = [pool[i] for i in np.argsort(-gains, kind="stable")[:CLIMBERS]]
            known = {one.key for one in pool} | self._out.keys()
            more = self._pool.near(best, MOVES, rng, known.__contains__)
            if more:
                pool, gains = [*pool, *more], np.concatenate([gains, acquisition(more)])
        return pool, gains, acquisition

    def _acquisition(
        self,
        observed: Observed,
        pool: Sequence[Candidate],
        returning: Mapping[str, tuple[Candidate, Numbers]],
    ) -> Acquisition:
        done = self._ended | returning.keys()
        pending = [one for key, one in self._out.items() if key not in done]
        found = [
            self._shape(axis) if column is None else None
            for axis, column in enumerate(self._features.exact)
        ]
        measured = {**self._observations.costs, **returning}
        models = Models(self._features, observed, found, measured)
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

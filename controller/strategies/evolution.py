"""Evolution: a steady-state multi-objective search whose moves respect layers.

Parents are chosen as in NSGA-II (Deb et al. 2002, doi:10.1109/4235.996017): by non-dominated
rank, then by crowding distance. A child crosses segments of layers and moves one layer, a stretch
of layers or one axis in all layers (Space.mutate), or one setting. First come structured designs,
since on layered spaces repetition is where good designs are found.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt

from controller.candidates import Candidate
from controller.strategies.interface import Proposal, SearchSpace
from controller.strategies.random_search import new_candidate
from results import Objective, TrialRow
from search_space import DesignError

FOUNDERS = 8  # structured candidates before the first child; presets count as founders
POPULATION = 32  # best candidates that may become parents
CROSSING = 0.5  # share of children with two parents
CHILD_TRIES = 64

Points = npt.NDArray[np.float64]


class Evolution:
    """Ask is a function of the seed and of what was handed out and told."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._objectives, self._seed = space, objectives, seed
        self._seen: set[str] = set()
        self._scores: dict[str, list[list[float]]] = {}  # by key, one list per told seed
        self._candidates: dict[str, Candidate] = {}

    def ask(self) -> Proposal | None:
        rng = np.random.default_rng([self._seed, len(self._seen), 2])
        parents = self._parents()
        try:
            for _ in range(CHILD_TRIES):
                founding = len(parents) < FOUNDERS
                child = (
                    self._space.sample_structured(rng) if founding else self._child(parents, rng)
                )
                if child.key not in self._seen:
                    return Proposal(child)
        except DesignError:  # a space of one candidate has no other to move to
            pass
        left = new_candidate(self._space, rng, self._seen)
        return None if left is None else Proposal(left)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        self._seen.add(candidate.key)

    def tell(self, row: TrialRow) -> None:
        if row.state != "complete" or any(o.column not in row.metrics for o in self._objectives):
            return
        sign = {"min": 1.0, "max": -1.0}
        scores = [sign[o.direction] * row.metrics[o.column] for o in self._objectives]
        self._scores.setdefault(row.key, []).append(scores)
        if row.key not in self._candidates:
            self._candidates[row.key] = Candidate.of(row)

    def _parents(self) -> list[Candidate]:
        """The best candidates told, best first."""
        keys = list(self._scores)
        if not keys:
            return []
        points = np.array([np.mean(self._scores[key], axis=0) for key in keys])
        return [self._candidates[keys[i]] for i in best_first(points)[:POPULATION]]

    def _child(self, parents: list[Candidate], rng: np.random.Generator) -> Candidate:
        """Parents by binary tournament: of two drawn at random, the one listed first."""
        one, other = (parents[rng.integers(len(parents), size=2).min()] for _ in range(2))
        child = self._space.cross(one, other, rng) if rng.random() < CROSSING else one
        return self._space.mutate(child, rng)


def best_first(points: Points) -> list[int]:
    """Indices by non-dominated rank, within a rank by falling crowding distance (minimised)."""
    ranks = moocore.pareto_rank(points)
    crowding = np.empty(len(points))
    for rank in np.unique(ranks):
        members = np.flatnonzero(ranks == rank)
        crowding[members] = crowding_distance(points[members])
    return list(np.lexsort((-crowding, ranks)))


def crowding_distance(points: Points) -> Points:
    """Sides of the box that a point's neighbours span, scaled and added; infinite at extremes.

    An objective in which all points agree says nothing and adds nothing.
    """
    distance = np.zeros(len(points))
    for values in points.T:
        order = np.argsort(values, kind="stable")
        spread = values[order[-1]] - values[order[0]]
        if spread > 0:
            distance[order[[0, -1]]] = np.inf
            distance[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / spread
    return distance

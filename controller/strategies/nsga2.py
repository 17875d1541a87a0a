"""NSGA-II: a generational search by non-dominated rank and crowding.

Deb, Pratap, Agarwal and Meyarivan 2002, doi:10.1109/4235.996017: as many children as parents;
parents by binary tournament, the better rank or else the more room around it winning; crossing,
then mutation; of parents and children together the best survive, whole fronts first and the last
one by crowding. The moves are the space's own.

Workers need not wait for each other: a child is made of the parents of the moment it is asked
for, and a generation ends with as many results as it needs, whoever proposed them. A child that
gave no result is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np

from controller.candidates import Candidate
from controller.strategies.interface import Proposal, SearchSpace
from controller.strategies.random_search import new_candidate, new_near
from controller.strategies.scores import Points, Scores
from results import Objective, TrialRow
from search_space import DesignError

POPULATION = 32  # a third of the paper's, since a search of networks has hundreds of trials
CROSSING = 0.9  # share of children with two parents; the paper's
# with each of n choices changed with probability 1/n, as in the paper, so many children change
MUTATION = 1 - np.exp(-1)
CHILD_TRIES = 16


class Nsga2:
    """Parents and children so far, by key."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._seed = space, seed
        self._seen: set[str] = set()
        self._scores = Scores(objectives)
        self._parents: list[str] = []  # none before the first generation is complete
        self._children: list[str] = []  # of this generation, with a result

    def ask(self) -> Proposal | None:
        rng = np.random.default_rng([self._seed, len(self._seen), 4])
        if self._parents:
            found = self._new_child(rng)
        else:
            found = new_candidate(self._space, rng, self._seen)
        return None if found is None else Proposal(found)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        self._seen.add(candidate.key)

    def tell(self, row: TrialRow) -> None:
        known = row.key in self._scores.candidates
        if not self._scores.take(row) or known:
            return
        self._children.append(row.key)
        if len(self._children) >= POPULATION:
            both = self._parents + self._children
            order = best_first(self._scores.points(both))
            self._parents = [both[i] for i in order[:POPULATION]]
            self._children = []

    def _new_child(self, rng: np.random.Generator) -> Candidate | None:
        """A child that was not handed out before, or else one near the last."""
        order = best_first(self._scores.points(self._parents))
        parents = [self._scores.candidates[self._parents[i]] for i in order]
        child = None
        try:
            for _ in range(CHILD_TRIES):
                child = self._child(parents, rng)
                if child.key not in self._seen:
                    return child
        except DesignError:  # a space of one candidate has no other to move to
            pass
        return new_near(self._space, child, rng, self._seen)

    def _child(self, parents: list[Candidate], rng: np.random.Generator) -> Candidate:
        """Of two parents, each the better of two drawn at random."""
        most = min(2, len(parents))
        drawn = [rng.choice(len(parents), size=most, replace=False).min() for _ in range(2)]
        one, other = (parents[i] for i in drawn)
        child = self._space.cross(one, other, rng) if rng.random() < CROSSING else one
        return self._space.mutate(child, rng) if rng.random() < MUTATION else child


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

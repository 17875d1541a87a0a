"""Regularized evolution with local search on the front, its moves respecting layers.

Founders are structured designs, since on layered spaces repetition is where good designs are found,
and a share of all later proposals still is. The others are children: half by local search, one
move from the part of the front that has most room around it (Paquete et al. 2004), half of a
parent that wins a tournament among the youngest candidates, so that the old die whatever their
luck was (Real et al. 2019, arXiv:1802.01548), crossed with another as often as not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from controller.candidates import Candidate
from controller.strategies.interface import Proposal, SearchSpace
from controller.strategies.nsga2 import best_first
from controller.strategies.random_search import new_candidate
from controller.strategies.scores import Scores
from results import Objective, TrialRow
from search_space import DesignError

FOUNDERS = 16  # structured candidates before the first child; presets count as founders
STRUCTURED = 0.25  # share of later proposals that are structured, not children
LOCAL = 0.5  # share of children that are one move from the front
YOUNGEST = 64  # candidates that may become parents
TOURNAMENT = 8  # of these, drawn at random, the best one becomes a parent
CROSSING = 0.5  # share of tournaments' children with two parents
CHILD_TRIES = 64

Places = npt.NDArray[np.intp]


class Evolution:
    """Ask is a function of the seed and of what was handed out and told."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._seed = space, seed
        self._seen: set[str] = set()
        self._scores = Scores(objectives)

    def ask(self) -> Proposal | None:
        rng = np.random.default_rng([self._seed, len(self._seen), 2])
        told = list(self._scores.candidates.values())
        order = best_first(self._scores.points()) if told else []
        try:
            for _ in range(CHILD_TRIES):
                founding = len(told) < FOUNDERS or rng.random() < STRUCTURED
                child = (
                    self._space.sample_structured(rng)
                    if founding
                    else self._child(told, order, rng)
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
        self._scores.take(row)

    def _child(
        self, told: list[Candidate], order: list[int], rng: np.random.Generator
    ) -> Candidate:
        """By local search or by tournament; `order` lists the told ones, best first."""
        if rng.random() < LOCAL:
            front = max(1, len(order) // 4)
            return self._space.mutate(told[order[int(rng.integers(front))]], rng)
        place = np.argsort(order)  # of each told one
        youngest = range(max(0, len(told) - YOUNGEST), len(told))
        one, other = (self._winner(youngest, place, rng) for _ in range(2))
        crossed = rng.random() < CROSSING
        child = self._space.cross(told[one], told[other], rng) if crossed else told[one]
        return self._space.mutate(child, rng)

    @staticmethod
    def _winner(youngest: range, place: Places, rng: np.random.Generator) -> int:
        drawn = [youngest[int(i)] for i in rng.integers(len(youngest), size=TOURNAMENT)]
        return min(drawn, key=lambda i: place[i])

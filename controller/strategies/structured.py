"""Structured random search: candidates drawn with a taste for layers that are alike.

The baseline for layered spaces, where repetition is where good designs are found (Sukthanker et
al. 2024, arXiv:2405.10299). Where no new one is drawn, it goes on as random search.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controller.candidates import Candidate
from controller.strategies.interface import Proposal, SearchSpace
from controller.strategies.random_search import new_candidate
from results import Objective, TrialRow

TRIES = 64  # structured draws before a uniform one


class StructuredSearch:
    """Structured, without repetition."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._seed = space, seed
        self._seen: set[str] = set()

    def ask(self) -> Proposal | None:
        rng = np.random.default_rng([self._seed, len(self._seen), 3])
        for _ in range(TRIES):
            drawn = self._space.sample_structured(rng)
            if drawn.key not in self._seen:
                return Proposal(drawn)
        left = new_candidate(self._space, rng, self._seen)
        return None if left is None else Proposal(left)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        self._seen.add(candidate.key)

    def tell(self, row: TrialRow) -> None:
        pass

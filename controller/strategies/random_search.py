"""Random search: candidates drawn uniformly over the distinct legal ones.

The baseline that a search must beat to be worth its name (Li and Talwalkar 2019,
arXiv:1902.07638).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controller.candidates import Candidate
from controller.strategies.interface import Proposal, SearchSpace
from results import Objective, TrialRow

TRIES = 256  # draws before a space counts as exhausted


class RandomSearch:
    """Uniform, without repetition."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._seed = space, seed
        self._seen: set[str] = set()

    def ask(self) -> Proposal | None:
        rng = np.random.default_rng([self._seed, len(self._seen), 1])
        candidate = new_candidate(self._space, rng, self._seen)
        return None if candidate is None else Proposal(candidate)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        self._seen.add(candidate.key)

    def tell(self, row: TrialRow) -> None:
        pass


def new_candidate(space: SearchSpace, rng: np.random.Generator, seen: set[str]) -> Candidate | None:
    """A uniform draw that is not in `seen`; in a small space, any that is left."""
    for _ in range(TRIES):
        candidate = space.sample(rng)
        if candidate.key not in seen:
            return candidate
    size = space.size()
    if size.exact and size.count <= 100 * TRIES:
        left = [candidate for candidate in space.enumerate() if candidate.key not in seen]
        return left[rng.integers(len(left))] if left else None
    return None

"""Random search: candidates drawn uniformly over the distinct legal ones.

The baseline that a search must beat to be worth its name (Li and Talwalkar 2019,
arXiv:1902.07638).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from controller.candidates import Candidate
from controller.strategies.interface import Proposal, SearchSpace
from results import Objective, TrialRow
from search_space import DesignError

TRIES = 256  # draws before a space counts as exhausted
MOVES = 64  # moves from a candidate before a draw from the whole space


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


def new_candidate(
    space: SearchSpace, rng: np.random.Generator, seen: Collection[str]
) -> Candidate | None:
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


def new_near(
    space: SearchSpace, start: Candidate | None, rng: np.random.Generator, seen: Collection[str]
) -> Candidate | None:
    """One that is not in `seen`: by moves from `start`, then by a draw from the whole space."""
    near = start
    try:
        for _ in range(MOVES if near is not None else 0):
            assert near is not None
            near = space.mutate(near, rng)
            if near.key not in seen:
                return near
    except DesignError:  # a space of one candidate has no other to move to
        pass
    return new_candidate(space, rng, seen)

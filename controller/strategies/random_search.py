"""Random search: designs drawn uniformly over the distinct legal ones.

The baseline that a search must beat to be worth its name (Li and Talwalkar 2019,
arXiv:1902.07638).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from results import Objective, TrialRow
from search_space import Design, Space

TRIES = 256  # draws before a space counts as exhausted


class RandomSearch:
    """Uniform, without repetition."""

    def __init__(self, space: Space, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._seed = space, seed
        self._seen: set[str] = set()

    def ask(self) -> Design | None:
        rng = np.random.default_rng([self._seed, len(self._seen), 1])
        return new_design(self._space, rng, self._seen)

    def handed_out(self, design: Design) -> None:
        self._seen.add(design.key)

    def tell(self, row: TrialRow) -> None:
        pass


def new_design(space: Space, rng: np.random.Generator, seen: set[str]) -> Design | None:
    """A uniform draw that is not in `seen`; in a small space, any that is left."""
    for _ in range(TRIES):
        design = space.sample(rng)
        if design.key not in seen:
            return design
    size = space.size()
    if size.exact and size.count <= 100 * TRIES:
        left = [design for design in space.enumerate() if design.key not in seen]
        return left[rng.integers(len(left))] if left else None
    return None

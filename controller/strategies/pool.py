"""Pool: the candidates that an acquisition function chooses from.

On layered spaces what is proposed matters more than how it is chosen, so most come from the
structured sampler and from moves around the front, some of the front's crossings, and a few are
drawn uniformly so that nothing is out of reach. A small space is its own pool.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from controller.candidates import Candidate
from controller.strategies.interface import SearchSpace
from search_space import DesignError

SMALL = 1_500  # candidates that are all looked at
CHUNK, CHUNKS = 48, 4  # structured ones: drawn together, and so many chunks at a time
MOVED, CROSSED, UNIFORM = 160, 80, 40


class Pool:
    """Fresh candidates for each ask, a function of the seed and the number of the ask."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed
        self._chunks: dict[int, list[Candidate]] = {}
        size = space.size()
        self._small = size.exact and size.count <= SMALL
        self._all: list[Candidate] = []

    @property
    def whole(self) -> bool:
        """Whether the pool is the space."""
        return self._small

    def structured(self, number: int) -> list[Candidate]:
        """Candidates with repeated layers; most are those of the ask before."""
        latest = number // CHUNKS
        chunks = range(max(0, latest - CHUNKS + 1), latest + 1)
        # older ones are forgotten
        self._chunks = {chunk: self._chunks.get(chunk) or self._drawn(chunk) for chunk in chunks}
        return [one for chunk in self._chunks.values() for one in chunk]

    def _drawn(self, chunk: int) -> list[Candidate]:
        """A chunk, the same whenever it is drawn; the first is as large as all that are in use."""
        rng = np.random.default_rng([self._seed, chunk, 6])
        count = CHUNK * CHUNKS if chunk == 0 else CHUNK
        return [self._space.sample_structured(rng) for _ in range(count)]

    def around(
        self,
        front: Sequence[Candidate],
        number: int,
        rng: np.random.Generator,
        seen: Collection[str],
    ) -> list[Candidate]:
        """Everything worth a look beside this front, without what was seen."""
        if self._small:
            self._all = self._all or list(self._space.enumerate())
            return self._new(self._all, seen)
        found = self.structured(number)
        found += [self._space.sample(rng) for _ in range(UNIFORM)]
        if front:
            found += self._moved([_one(front, rng) for _ in range(MOVED)], rng)
            pairs = ((_one(front, rng), _one(front, rng)) for _ in range(CROSSED))
            found += self._moved([self._space.cross(a, b, rng) for a, b in pairs], rng)
        return self._new(found, seen)

    def near(
        self,
        best: Sequence[Candidate],
        each: int,
        rng: np.random.Generator,
        seen: Callable[[str], bool],
    ) -> list[Candidate]:
        """Moves from the best so far, to climb on."""
        found = self._moved([one for one in best for _ in range(each)], rng)
        return [one for one in self._new(found, ()) if not seen(one.key)]

    def _new(self, found: Iterable[Candidate], seen: Collection[str]) -> list[Candidate]:
        """Each once, none that was seen; those that are not allowed where there are no others."""
        new = list({one.key: one for one in found if one.key not in seen}.values())
        return [one for one in new if self._space.allowed(one)] or new

    def _moved(self, starts: Iterable[Candidate], rng: np.random.Generator) -> list[Candidate]:
        try:
            return [self._space.mutate(start, rng) for start in starts]
        except DesignError:  # a space of one candidate has no other to move to
            return []


def _one(front: Sequence[Candidate], rng: np.random.Generator) -> Candidate:
    return front[int(rng.integers(len(front)))]

"""Grid search: every candidate of a small space, a coarse grid of a large one, well spread early.

A small space is enumerated, and each next candidate is the one farthest from all before it
(Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5), from a seeded start.

A large one is covered by grids over its choices, each finer than the one before:

    1. all layers alike, three values of each choice: both ends and the middle
    2. all layers alike, every value
    3. two halves of the layers, each alike; then four quarters, and so on to single layers

A grid of up to 512 points is walked in the same farthest-first order; of a larger one come 512
points of a scrambled Sobol sequence. What is left after the last grid comes as in random search.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from controller.candidates import Candidate
from controller.strategies.codes import Codes
from controller.strategies.interface import Proposal, SearchSpace
from controller.strategies.random_search import new_candidate
from results import Objective, TrialRow

SMALL = 1_024  # candidates that are enumerated
GRID_POINTS = 512  # of one grid; a power of two, as Sobol's points want
COARSE = 3  # values of each choice in the first grid

Vectors = npt.NDArray[np.float64]


class GridSearch:
    """The order follows from the seed alone; what others handed out is passed over."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._seed = space, seed
        self._seen: set[str] = set()
        self._order: list[tuple[str, Candidate]] = []  # as far as it was needed
        self._rest: Iterator[Candidate] | None = None

    def ask(self) -> Proposal | None:
        for key, candidate in self._order:
            if key not in self._seen:
                return Proposal(candidate)
        if self._rest is None:
            self._rest = candidates_in_order(self._space, self._seed)
        for candidate in self._rest:
            self._order.append((candidate.key, candidate))
            if candidate.key not in self._seen:
                return Proposal(candidate)
        rng = np.random.default_rng([self._seed, len(self._seen), 5])
        left = new_candidate(self._space, rng, self._seen)
        return None if left is None else Proposal(left)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        self._seen.add(candidate.key)

    def tell(self, row: TrialRow) -> None:
        pass


def candidates_in_order(space: SearchSpace, seed: int) -> Iterator[Candidate]:
    """All of a small space, or the points of the grids; one may come more than once."""
    size = space.size()
    rng = np.random.default_rng([seed, 5])
    if size.exact and size.count <= SMALL:
        everyone = list(space.enumerate())
        for index in farthest_first(space.encode(everyone), rng):
            yield everyone[index]
        return
    codes = Codes(space)
    for parts, most in grids(codes):
        counts = [min(most, codes.counts[part[0]]) for part in parts]
        for point in grid_points(counts, rng):
            chosen = {
                name: _spread(code, count, codes.counts[name])
                for part, code, count in zip(parts, point, counts, strict=True)
                for name in part
            }
            found = codes.candidate(chosen)
            if found is not None:
                yield found


def grids(codes: Codes) -> Iterator[tuple[list[list[str]], int]]:
    """For each grid the choices that go together, and the most values of each."""
    together = families(codes)
    longest = max((len(family) for family in together), default=0)
    everything = max(codes.counts.values(), default=0)
    if everything > COARSE:
        yield together, COARSE
    blocks = 1
    while together:
        yield [block for family in together for block in _blocks(family, blocks)], everything
        if blocks >= longest:
            return
        blocks *= 2


def families(codes: Codes) -> list[list[str]]:
    """Choices that are one choice of many layers: alike but for a number in their name."""
    found: dict[tuple[str, int], list[str]] = {}
    for name, count in codes.counts.items():
        found.setdefault((re.sub(r"\d+", "*", name), count), []).append(name)
    return list(found.values())


def grid_points(counts: Sequence[int], rng: np.random.Generator) -> Iterator[list[int]]:
    """All points of a small grid, some of a large one; each a value's number for every axis."""
    if math.prod(counts) <= GRID_POINTS:
        points = np.array(list(np.ndindex(*counts)))
        for index in farthest_first(points / np.maximum(1, np.array(counts) - 1), rng):
            yield [int(code) for code in points[index]]
        return
    from scipy.stats import qmc  # takes a second to import

    drawn = qmc.Sobol(len(counts), rng=int(rng.integers(2**31))).random(GRID_POINTS)
    for point in drawn:
        yield [min(int(share * n), n - 1) for share, n in zip(point, counts, strict=True)]


def farthest_first(vectors: Vectors, rng: np.random.Generator) -> Iterator[int]:
    """Every row once, each the farthest from all rows before it; ties fall at random."""
    shuffled = rng.permutation(len(vectors))
    rows = vectors[shuffled]
    distance = np.full(len(rows), np.inf)
    for _ in range(len(rows)):
        index = int(distance.argmax())
        yield int(shuffled[index])
        distance = np.minimum(distance, ((rows - rows[index]) ** 2).sum(axis=1))
        distance[index] = -1.0


def _blocks(family: list[str], number: int) -> list[list[str]]:
    """A family cut into as many stretches, as equal as can be."""
    number = min(number, len(family))
    cuts = [i * len(family) // number for i in range(number + 1)]
    return [family[a:b] for a, b in pairwise(cuts)]


def _spread(code: int, count: int, values: int) -> int:
    """The `code`-th of `count` values that are spread over all, the ends among them."""
    return code if count >= values else round(code * (values - 1) / max(1, count - 1))

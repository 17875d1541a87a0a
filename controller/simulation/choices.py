"""ChoiceSpace: a space of named choices, so that strategies can be tried on problems of others.

A point is an ordinary candidate: one fixed small design whose settings are the coordinates.
Hence the search, its rows and its log are the same as on attention designs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from controller.candidates import Candidate
from controller.simulation.choice_axes import Axes
from controller.simulation.choice_encoding import ChoiceEncoding
from controller.simulation.choice_moves import Moves
from search_space import Size
from search_space.axis_config import Value
from search_space.encoding import Vectors
from search_space.structure import Structure

Known = Callable[[Candidate], Mapping[str, float]]


class ChoiceSpace:
    """Shared axes by name, and families of choices that every layer makes.

    `depth` is the number of layers, or the name of the shared axis that holds it. The choices of
    layer 3 of family `heads` are called `heads.03`. Numbers have an order, texts have none.
    """

    def __init__(
        self,
        shared: Mapping[str, Sequence[Value]],
        families: Mapping[str, Sequence[Value]] | None = None,
        depth: str | int = 1,
        known: Known | None = None,
        structure: Structure | None = None,
    ) -> None:
        self.axes = Axes(shared, families or {}, depth)
        self._known = known
        self._moves = Moves(self.axes, structure or Structure())
        self._encoding = ChoiceEncoding(self.axes)

    @property
    def choices(self) -> Mapping[str, tuple[Value, ...]]:
        """Every axis with its values; those of layers beyond the depth are ignored."""
        return dict(zip(self.axes.names, self.axes.values, strict=True))

    @property
    def groups(self) -> Sequence[str]:
        """For each column of `encode`, its axis, its family, or `mean` and its family."""
        return self._encoding.groups

    def sample(self, rng: np.random.Generator) -> Candidate:
        """Drawn uniformly over the distinct points."""
        return self.axes.candidate(self._moves.uniform(rng))

    def sample_structured(self, rng: np.random.Generator) -> Candidate:
        """Drawn with a taste for layers that are alike."""
        return self.axes.candidate(self._moves.structured(rng))

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        """Another point near this one."""
        return self.axes.candidate(self._moves.mutated(self.axes.codes(candidate), rng))

    def cross(self, a: Candidate, b: Candidate, rng: np.random.Generator) -> Candidate:
        """One made of parts of two."""
        codes = self._moves.crossed(self.axes.codes(a), self.axes.codes(b), rng)
        return self.axes.candidate(codes)

    def neighbours(self, candidate: Candidate) -> Iterator[Candidate]:
        """Every point that differs in one active axis."""
        codes = self.axes.codes(candidate)
        for at in self.axes.active(self.axes.depth(codes)):
            for code in range(self.axes.counts[at]):
                if code != codes[at]:
                    yield self.axes.candidate(self.axes.with_code(codes, at, code))

    def size(self) -> Size:
        """Number of distinct points."""
        return Size(sum(self.axes.distinct()), True, 0.0)

    def enumerate(self) -> Iterator[Candidate]:
        """Every distinct point once."""
        return map(self.axes.candidate, self.axes.all())

    def encode(self, candidates: Sequence[Candidate]) -> Vectors:
        """(candidates, columns), all in 0..1."""
        return self._encoding.encode([self.axes.codes(candidate) for candidate in candidates])

    def known(self, candidate: Candidate) -> Mapping[str, float]:
        """What the problem says is known without training."""
        return {} if self._known is None else self._known(candidate)

    def allowed(self, candidate: Candidate) -> bool:
        """Every point is."""
        return True

    def of_values(self, values: Mapping[str, Value]) -> Candidate:
        """The candidate of these values, numbers at the nearest there is."""
        return self.axes.candidate(self.axes.nearest(values))

    def values_of(self, candidate: Candidate) -> dict[str, Value]:
        """A value for every axis."""
        return dict(self.axes.candidate(self.axes.codes(candidate)).settings)

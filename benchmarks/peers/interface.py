"""What a peer is: a library's optimizer over whole numbers, one per axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from controller.candidates import Candidate
from controller.simulation import Problem
from search_space.axis_config import Value


class Peer(Protocol):
    """An optimizer that knows nothing of attnas."""

    def ask(self) -> tuple[object, Candidate] | None:
        """A point, with what the library calls it; None while it waits for results."""
        ...

    def tell(self, token: object, point: Sequence[float] | None) -> None:
        """The objectives, all to be minimised; None if there is no result."""
        ...


class Codes:
    """Axes as whole numbers, and back."""

    def __init__(self, problem: Problem) -> None:
        self.space = problem.space
        choices = self.space.choices
        self.axes = {name: own for name, own in choices.items() if len(own) > 1}
        self.objectives = len(problem.objectives)

    def candidate(self, codes: Sequence[int]) -> Candidate:
        """The candidate of a code per axis."""
        named = zip(self.axes.items(), codes, strict=True)
        return self.space.of_values({name: values[int(code)] for (name, values), code in named})

    def codes(self, candidate: Candidate) -> list[int]:
        """A code per axis."""
        values = self.space.values_of(candidate)
        return [own.index(values[name]) for name, own in self.axes.items()]


def is_ordered(values: Sequence[Value]) -> bool:
    """Whether an axis holds numbers."""
    return not any(isinstance(value, str) for value in values)


class AxisRandom:
    """Every axis drawn uniformly, as libraries do; deep designs are no more likely than others."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self._codes, self._rng = Codes(problem), np.random.default_rng([seed, 4])

    def ask(self) -> tuple[object, Candidate]:
        counts = [len(values) for values in self._codes.axes.values()]
        return None, self._codes.candidate(list(self._rng.integers(counts)))

    def tell(self, token: object, point: Sequence[float] | None) -> None:
        pass

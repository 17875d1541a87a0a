"""Codes: the choices of a space as whole numbers, as the tuners of other libraries take them.

Numbers are coded by rank, so that a tuner can use their order; texts by their place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from controller.candidates import Candidate
from controller.strategies.interface import SearchSpace
from search_space import DesignError
from search_space.axis_config import Value


class Codes:
    """The way from candidates to codes and back."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._values = {name: _sorted(values) for name, values in space.choices.items()}
        self.counts = {name: len(values) for name, values in self._values.items()}  # of values
        self.ordered = {  # of two values order says nothing
            name: len(values) > 2 and not _has_text(values) for name, values in self._values.items()
        }

    def candidate(self, codes: Mapping[str, float]) -> Candidate | None:
        """The candidate of a code for every choice, or the nearest; None where none is near.

        Each code is rounded to a whole number.
        """
        values = {
            name: own[min(max(math.floor(codes[name] + 0.5), 0), len(own) - 1)]
            for name, own in self._values.items()
        }
        try:
            return self._space.of_values(values)
        except DesignError:
            return None

    def of(self, candidate: Candidate) -> dict[str, int] | None:
        """A code for every choice; None for a candidate that values can't describe.

        That is one from outside the space, by its design or by the settings it lacks.
        """
        try:
            values = self._space.values_of(candidate)
            if self._space.of_values(values).key != candidate.key:
                return None
            return {name: own.index(values[name]) for name, own in self._values.items()}
        except (DesignError, ValueError):
            return None


def _sorted(values: tuple[Value, ...]) -> tuple[Value, ...]:
    return values if _has_text(values) else tuple(sorted(values, key=float))


def _has_text(values: tuple[Value, ...]) -> bool:
    return any(isinstance(value, str) for value in values)

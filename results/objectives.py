"""Objectives: the columns a search improves, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Direction = Literal["max", "min"]


@dataclass(frozen=True, slots=True)
class Objective:
    """One column of a run, and whether more or less of it is better."""

    column: str
    direction: Direction

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is strictly better than `b`."""
        return a > b if self.direction == "max" else a < b

    def signed(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The values, negated for `max`, so that smaller is always better."""
        array = np.asarray(values, dtype=np.float64)
        return -array if self.direction == "max" else array


def parse_objectives(mapping: Mapping[str, str]) -> tuple[Objective, ...]:
    """Objectives from `{column: "max" or "min"}`; a search has two to four."""
    if not 2 <= len(mapping) <= 4:
        named = ", ".join(mapping) or "none"
        raise ValueError(
            f"a search needs two to four objectives, but got {len(mapping)} ({named}); "
            "for example accuracy: max, prefill_ratio: min"
        )
    objectives = []
    for column, direction in mapping.items():
        if direction == "max" or direction == "min":
            objectives.append(Objective(column, direction))
        else:
            raise ValueError(
                f"an objective's direction must be max or min, but {column} has {direction!r}"
            )
    return tuple(objectives)

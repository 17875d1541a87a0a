"""Nearness: which of some layers has the most axis values in common with a wanted one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from search_space.axis_config import Value
from search_space.layer_values import LEANING

Options = Sequence[int] | np.ndarray  # layers by number
ABSENT = -1
WEIGHT = dict.fromkeys(LEANING, 1.5)  # what a layer leans on is kept before its heads


class Nearness:
    """The features of numbered layers as a table, compared with one layer at a time."""

    def __init__(self, table: Sequence[Mapping[str, Value]]) -> None:
        self.names = list(dict.fromkeys(name for row in table for name in row))
        self._codes_of: list[dict[Value, int]] = [{} for _ in self.names]
        self.codes = np.full((len(table), len(self.names)), ABSENT)  # (layers, axes)
        self.logs = np.zeros((len(table), len(self.names)))  # of numbers, for ties
        for i, row in enumerate(table):
            for j, name in enumerate(self.names):
                if name in row:
                    known = self._codes_of[j]
                    self.codes[i, j] = known.setdefault(row[name], len(known))
                    self.logs[i, j] = _log(row[name])
        self._weights = np.array([WEIGHT.get(name, 1.0) for name in self.names])

    def distances(
        self, options: Sequence[int] | np.ndarray, wanted: Mapping[str, Value]
    ) -> np.ndarray:
        """Number of differing axes for each option; a tie goes to the nearer numbers, by ratio."""
        own = [self._codes_of[j].get(wanted[n], -2) if n in wanted else ABSENT
               for j, n in enumerate(self.names)]  # fmt: skip
        logs = np.array([_log(wanted[n]) if n in wanted else 0.0 for n in self.names])
        codes, chosen = self.codes[np.asarray(options)], np.array(own)
        differ = (codes != chosen) & (codes != ABSENT) & (chosen != ABSENT)
        ratio = np.abs(self.logs[np.asarray(options)] - logs)
        return (differ * (self._weights + 0.01 * ratio / (1 + ratio))).sum(axis=1)

    def having(self, options: Sequence[int], name: str, value: Value) -> list[int]:
        """The options with this value of an axis."""
        axis = self.names.index(name)
        code = self._codes_of[axis].get(value, -2)
        return [
            options[int(i)] for i in np.flatnonzero(self.codes[np.asarray(options), axis] == code)
        ]

    def steps(self, options: Sequence[int], number: int) -> np.ndarray:
        """Number of axes in which each option differs from a numbered layer."""
        codes, chosen = self.codes[np.asarray(options)], self.codes[number]
        return ((codes != chosen) & (codes != ABSENT) & (chosen != ABSENT)).sum(axis=1)


def _log(value: Value) -> float:
    return 0.0 if isinstance(value, str) or value <= 0 else math.log(value)

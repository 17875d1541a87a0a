"""Scores: what was told so far, one point for each candidate, smaller is better in every axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from controller.candidates import Candidate
from results import Objective, TrialRow

Points = npt.NDArray[np.float64]  # (candidates, objectives)


def signed_scores(row: TrialRow, objectives: Sequence[Objective]) -> list[float] | None:
    """The objectives of a complete row, negated for `max`; None where one is missing."""
    if row.state != "complete" or any(o.column not in row.metrics for o in objectives):
        return None
    return [float(o.signed(row.metrics[o.column])) for o in objectives]


class Scores:
    """The mean over the seeds of each candidate, in the order of the first result."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = objectives
        self._told: dict[str, list[list[float]]] = {}
        self.candidates: dict[str, Candidate] = {}  # by key

    def take(self, row: TrialRow) -> bool:
        """Keep a row; False for one that is not complete or lacks an objective."""
        scores = signed_scores(row, self._objectives)
        if scores is None:
            return False
        self._told.setdefault(row.key, []).append(scores)
        if row.key not in self.candidates:
            self.candidates[row.key] = Candidate.of(row)
        return True

    def points(self, keys: Sequence[str] | None = None) -> Points:
        """One row of numbers for each key; of all candidates where no keys are given."""
        chosen = list(self._told) if keys is None else keys
        means = [np.mean(self._told[key], axis=0) for key in chosen]
        return np.array(means).reshape(len(chosen), len(self._objectives))

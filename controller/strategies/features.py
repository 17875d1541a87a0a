"""Features: candidates as rows of numbers for surrogates, and their objectives that are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controller.candidates import Candidate
from controller.strategies.interface import SearchSpace
from controller.strategies.surrogate import Numbers
from results import Objective

MOST_KEPT = 20_000  # candidates whose numbers are remembered; each ask looks at some 500 new ones


class Features:
    """Candidates as rows of numbers: their encoding and the logarithm of what else is known."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        self._space, self._objectives = space, objectives
        self._rows: dict[str, Numbers] = {}
        known = space.known(space.sample(np.random.default_rng(0)))
        self._known = sorted(known)
        self.exact = [o.column if o.column in known else None for o in objectives]
        self.groups = [*space.groups, *(f"known {name}" for name in self._known)]
        sizes = {group: self.groups.count(group) for group in dict.fromkeys(self.groups)}
        self.even_scale = np.array([sizes[group] ** -0.5 for group in self.groups])
        self._costs: dict[str, Numbers] = {}
        self._low, self._span = self._range()

    def _range(self) -> tuple[Numbers, Numbers]:
        """Of the known metrics' logarithms, over candidates of a fixed draw."""
        rng = np.random.default_rng(1)
        drawn = [self._space.sample_structured(rng) for _ in range(64 if self._known else 0)]
        logs = np.array([self._log_known(one) for one in drawn])
        logs = logs.reshape(len(drawn), len(self._known))
        if not len(logs):
            return np.zeros(len(self._known)), np.ones(len(self._known))
        span = np.ptp(logs, axis=0)
        return logs.min(axis=0), np.where(span > 0, span, 1.0)

    def of(self, candidates: Sequence[Candidate]) -> Numbers:
        """(candidates, columns)"""
        if len(self._rows) > MOST_KEPT:
            self._rows.clear()
        new = [one for one in candidates if one.key not in self._rows]
        if new:
            encoded = self._space.encode(new)
            for one, row in zip(new, encoded, strict=True):
                known = (self._log_known(one) - self._low) / self._span
                self._rows[one.key] = np.concatenate([row, known])
        return np.array([self._rows[one.key] for one in candidates])

    def costs(self, candidates: Sequence[Candidate]) -> Numbers:
        """The objectives that are known, smaller is better; the others nan."""
        if len(self._costs) > MOST_KEPT:
            self._costs.clear()
        return np.array([self._cost(one) for one in candidates])

    def _cost(self, candidate: Candidate) -> Numbers:
        if candidate.key not in self._costs:
            known = self._space.known(candidate)
            self._costs[candidate.key] = np.array(
                [
                    float(o.signed(known[o.column])) if column else np.nan
                    for o, column in zip(self._objectives, self.exact, strict=True)
                ]
            )
        return self._costs[candidate.key]

    def _log_known(self, candidate: Candidate) -> Numbers:
        known = self._space.known(candidate) if self._known else {}
        return np.array([np.log1p(max(0.0, known[name])) for name in self._known])

"""Comparison: by how much two designs differ in each objective, and what noise makes of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from results.columns import kind_of
from results.intervals import estimates, gap, one_row
from results.noise import Noise
from results.objectives import Objective

Verdict = Literal["better", "worse", "within noise", "unknown"]
Name = Callable[[str], str]  # how people call a column


@dataclass(frozen=True, slots=True)
class Difference:
    """Design a against design b in one objective, with a 95% interval, NaN where unknown.

    `value` is a - b for what is trained and where the noise is unknown, else the factor a / b; of
    two zeros that is 1.
    """

    objective: Objective
    value: float
    low: float
    high: float
    is_factor: bool
    verdict: Verdict

    def in_words(self, name: Name = str) -> str:
        """`accuracy +0.031 (0.010 to 0.052)`, `kv_cache_bytes × 0.50`."""
        text = f"× {self.value:.2f}" if self.is_factor else f"{self.value:+.3f}"
        if self.verdict == "unknown":
            return f"{name(self.objective.column)} {text} (noise unknown)"
        if self.low == self.high:
            return f"{name(self.objective.column)} {text}"
        places, sign = (2, "") if self.is_factor else (3, "+")
        bounds = f"{self.low:{sign}.{places}f} to {self.high:{sign}.{places}f}"
        within = ", within noise" if self.verdict == "within noise" else ""
        return f"{name(self.objective.column)} {text} ({bounds}{within})"


def differences(
    a: pd.Series, b: pd.Series, objectives: Sequence[Objective], noise: Noise
) -> list[Difference]:
    """Two rows of one run's `by_design` compared, objective by objective.

    Both were scored on one held-out set, so what it does to all designs alike is left out.
    """
    return [_difference(a, b, objective, noise) for objective in objectives]


def _difference(a: pd.Series, b: pd.Series, objective: Objective, noise: Noise) -> Difference:
    column = objective.column
    ours, theirs = (estimates(one_row(row), column, noise) for row in (a, b))
    value, low, high = (float(end[0]) for end in gap(ours, theirs))
    verdict = verdict_of(objective, low, high)
    is_factor = ours.is_log
    if ours.is_log:
        value, low, high = (float(np.exp(end)) for end in (value, low, high))
    elif kind_of(column, [str(name) for name in a.index]) == "exact":
        value = low = high = _factor(float(a[column]), float(b[column]))
        is_factor = True
    return Difference(objective, value, low, high, is_factor, verdict)


def verdict_of(objective: Objective, low: float, high: float) -> Verdict:
    """What the interval of a difference (of values or of their logarithms) says."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return "unknown"
    if low <= 0 <= high:
        return "within noise"
    return "better" if objective.better(low, 0) else "worse"


def _factor(a: float, b: float) -> float:
    if b == 0:
        return 1.0 if a == 0 else float("inf")
    return a / b

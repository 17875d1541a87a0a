"""Draws: values that designs may really have, as far as noise lets one tell.

A draw has one value per design and objective, around the point estimate and as wide as the
interval for comparisons: normal for what is trained, log-normal for what is measured, the value
itself for counts. Where the noise is unknown the value stays as it is, and `unknown` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from results.intervals import CONFIDENCE, estimates
from results.noise import Noise
from results.objectives import Objective

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ERRORS = float(ndtri((1 + CONFIDENCE) / 2))  # half a 95% interval of a normal, in deviations


@dataclass(frozen=True, slots=True)
class Spread:
    """Where the values of N designs in M objectives may lie; smaller is better."""

    centre: Floats  # (N, M), logarithms of what is measured
    deviation: Floats  # (N, M)
    unknown: Bools  # (N,) whether the noise of any objective is unknown

    def at(self, rows: npt.NDArray[np.intp]) -> Spread:
        """That of some designs."""
        return Spread(self.centre[rows], self.deviation[rows], self.unknown[rows])

    def ranks(self, rng: np.random.Generator) -> Floats:
        """One draw (N, M) on the scales of the noise, enough to tell what dominates what."""
        return self.centre + self.deviation * rng.standard_normal(self.centre.shape)


def spread_of(designs: pd.DataFrame, objectives: Sequence[Objective], noise: Noise) -> Spread:
    """The spread of a frame as `by_design` makes it."""
    found = [estimates(designs, o.column, noise) for o in objectives]
    signs = np.array([-1.0 if o.direction == "max" else 1.0 for o in objectives])
    width = np.stack([e.high - e.low for e in found], axis=1)  # (N, M)
    return Spread(
        centre=np.stack([e.value for e in found], axis=1) * signs,
        deviation=np.nan_to_num(width) / 2 / ERRORS,
        unknown=np.asarray(~np.isfinite(width).all(axis=1)),
    )

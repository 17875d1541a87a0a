"""Box: what sets of designs dominate, as shares of one box that they have in common.

The box reaches from the best values of all its points to the worst ones and a tenth beyond, so its
shares compare with one another and not with those of another box.
"""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np
import numpy.typing as npt

from results.fronts import REFERENCE_MARGIN

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """Smaller is better in all M objectives."""

    best: Floats  # (M,)
    span: Floats  # (M,)

    @classmethod
    def around(cls, points: Floats) -> Box:
        """The box of points (N, M); those that are not finite came to nothing."""
        points = points[np.isfinite(points).all(axis=1)]
        best = points.min(axis=0)
        span = (points.max(axis=0) - best) * (1 + REFERENCE_MARGIN)
        return cls(best, np.where(span > 0, span, 1.0))

    def share(self, points: Floats) -> float:
        """What points (N, M) dominate of the box."""
        unit = (points[np.isfinite(points).all(axis=1)] - self.best) / self.span
        return float(moocore.hypervolume(unit, ref=np.ones(len(self.best)))) if len(unit) else 0.0

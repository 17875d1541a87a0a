"""Box: what sets of designs dominate, as shares of one box that they have in common.

The box reaches from the best values of all its points to the worst ones and a tenth beyond, so its
shares compare with one another and not with those of another box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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

    def unit(self, points: Floats) -> Floats:
        """Points (N, M) in units of the box, 0 to 1; those that came to nothing at its far end."""
        scaled = (points - self.best) / self.span
        return np.where(np.isfinite(points).all(axis=1, keepdims=True), scaled, 1.0)

    def share(self, points: Floats) -> float:
        """What points (N, M) dominate of the box."""
        return share_of_unit(self.unit(points))


def share_of_unit(unit: Floats) -> float:
    """What points (N, M) dominate of the unit box, at whose far end a point dominates nothing."""
    return float(moocore.hypervolume(unit, ref=np.ones(unit.shape[1]))) if len(unit) else 0.0


def shares_as_it_grows(unit: Floats, ends: Sequence[int]) -> list[float]:
    """What the first points (N, M) dominate of the unit box, for each of these numbers of them."""
    front, shares = unit[:0], []
    for start, end in pairwise([0, *ends]):
        front = np.concatenate([front, unit[start:end]])
        front = front[moocore.is_nondominated(front)] if len(front) else front
        shares.append(share_of_unit(front))
    return shares

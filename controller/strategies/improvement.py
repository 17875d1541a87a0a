"""Hypervolume improvement: what each of many points would add to a front, all at once.

The region below the reference point that a front does not dominate is cut into disjoint boxes; a
point adds the parts of the boxes that it dominates. So any number of points costs one product, in
any number of objectives. Everything is minimised.
"""

from __future__ import annotations

import moocore
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]  # (points, objectives)
MOST_NUMBERS = 4_000_000  # of one block: 32 MB


class FreeRegion:
    """What a front leaves undominated below a reference point."""

    def __init__(self, front: Points, ref: Points) -> None:
        self.low = np.full((1, len(ref)), -np.inf)
        self.high = np.array([ref], dtype=float)  # (boxes, objectives)
        inside = front[(front < ref).all(axis=1)]
        if len(inside):
            best = inside[moocore.is_nondominated(inside)]
            for point in best[np.argsort(best[:, -1], kind="stable")]:
                self._cut(point)

    def _cut(self, point: Points) -> None:
        """Take away what the point dominates: a box it reaches into leaves one part per axis."""
        hit = (point < self.high).all(axis=1)
        lows, highs = [self.low[~hit]], [self.high[~hit]]
        low, high = self.low[hit].copy(), self.high[hit]
        for axis in range(len(point)):
            part = high.copy()
            part[:, axis] = np.minimum(high[:, axis], point[axis])
            some = part[:, axis] > low[:, axis]
            lows.append(low[some].copy())
            highs.append(part[some])
            low[:, axis] = np.maximum(low[:, axis], point[axis])
        self.low, self.high = np.concatenate(lows), np.concatenate(highs)

    def gains(self, points: Points) -> npt.NDArray[np.float64]:
        """The volume that each point alone would add, (points,)."""
        gains = np.empty(len(points))
        block = max(1, MOST_NUMBERS // len(self.low))
        for start in range(0, len(points), block):
            some = points[start : start + block]
            volume = np.ones((len(some), len(self.low)))
            for axis in range(points.shape[1]):
                least = np.maximum(self.low[:, axis], some[:, axis, None])
                volume *= np.maximum(self.high[:, axis] - least, 0.0)
            gains[start : start + block] = volume.sum(axis=1)
        return gains

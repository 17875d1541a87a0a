"""Scalarising: one number for several objectives, for optimizers that take one.

The augmented Chebyshev norm under random weights, as in ParEGO (Knowles 2006,
doi:10.1109/TEVC.2005.851274): each draw of weights points at another part of the front, also
where the front is not convex.
"""

from __future__ import annotations

import numpy as np

from controller.strategies.scores import Points

AUGMENTATION = 0.05  # of the weighted sum; the paper's


def random_weights(objectives: int, rng: np.random.Generator) -> Points:
    """Weights that sum to 1, uniform over all such."""
    return rng.dirichlet(np.ones(objectives))


def chebyshev(points: Points, weights: Points) -> Points:
    """One loss for each point, relative to the box from the best to the worst values of all.

    An objective in which all points agree says nothing and adds nothing.
    """
    if not len(points):
        return np.zeros(0)
    ideal = points.min(axis=0)
    # halves, since the difference of two huge numbers may be no number
    spread = points.max(axis=0) / 2 - ideal / 2
    scaled = (points / 2 - ideal / 2) / np.where(spread > 0, spread, 1.0)
    weighted = weights * scaled
    return weighted.max(axis=1) + AUGMENTATION * weighted.sum(axis=1)

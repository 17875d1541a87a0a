"""Warps: monotone scales on which a skewed objective looks more like what a surrogate expects.

Positive values may be taken by their logarithm. What is worse than the median may be compressed,
since how bad a bad design is matters little. Which of the four fits best is for the evidence of
the surrogate to say (warped Gaussian processes: Snelson et al. 2003). Smaller values are better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

LARGEST_EXPONENT = 30.0  # of what comes back from the compressed part


@dataclass(frozen=True)
class Warp:
    """The logarithm or not; then above `knee`, `knee + scale * log1p(excess / scale)`.

    Values below `least` count as `least`: later ones may not be positive.
    """

    log: bool = False
    knee: float = np.inf
    scale: float = 1.0
    least: float = -np.inf

    def there(self, values: Numbers) -> Numbers:
        """Values on the new scale."""
        values = np.maximum(values, self.least)
        taken = np.log(values) if self.log else values
        if np.isinf(self.knee):
            return taken
        excess = np.maximum(taken - self.knee, 0.0)
        return np.minimum(taken, self.knee) + self.scale * np.log1p(excess / self.scale)

    def back(self, warped: Numbers) -> Numbers:
        """The values that `there` took there."""
        taken = warped
        if not np.isinf(self.knee):
            excess = np.clip((warped - self.knee) / self.scale, 0.0, LARGEST_EXPONENT)
            taken = np.minimum(warped, self.knee) + self.scale * np.expm1(excess)
        return np.exp(np.clip(taken, -700.0, 700.0)) if self.log else taken

    def slope(self, values: Numbers) -> Numbers:
        """The derivative of `there`."""
        values = np.maximum(values, self.least)
        taken, slope = (np.log(values), 1 / values) if self.log else (values, np.ones(len(values)))
        if np.isinf(self.knee):
            return slope
        return slope / (1 + np.maximum(taken - self.knee, 0.0) / self.scale)


def warps_for(values: Numbers) -> list[Warp]:
    """The ones that these values can be taken by."""
    found: list[Warp] = []
    for log in (False, True) if values.min() > 0 else (False,):
        taken = np.log(values) if log else values
        knee = float(np.median(taken))
        least = float(values.min()) / 10 if log else -np.inf
        found.append(Warp(log, least=least))
        if knee > taken.min() and taken.max() > knee:
            found.append(Warp(log, knee, float(knee - taken.min()), least))
    return found

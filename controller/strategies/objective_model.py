"""ObjectiveModel: what one objective will be, from those that were told: a surrogate on a warp."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controller.strategies.surrogate import Numbers, Places, Shape, Surrogate, fitted_shape
from controller.strategies.warps import Warp, warps_for

MOST_ROWS = 160  # of one fit, which costs their third power at each of some fifty steps


def best_shape(
    rows: Numbers, values: Numbers, groups: Sequence[str], extra: Numbers
) -> tuple[Warp, Shape]:
    """The warp and the surrogate's shape under which the values are likeliest.

    `extra` is the variance of each value beyond the noise that all share.
    """
    if len(rows) > MOST_ROWS:
        chosen = telling_rows(values)
        rows, values, extra = rows[chosen], values[chosen], extra[chosen]
    tried = []
    for warp in warps_for(values):
        warped, slope = warp.there(values), warp.slope(values)
        shape = fitted_shape(rows, warped, groups, extra * slope**2)
        spread = float(warped.std()) or 1.0
        likely = shape.evidence + float(np.log(slope).sum()) - len(values) * np.log(spread)
        tried.append((likely, warp, shape))
    _, warp, shape = max(tried, key=lambda one: one[0])
    return warp, shape


def telling_rows(values: Numbers) -> Places:
    """Half of them the best, half evenly from the others, in the order of their values."""
    order = np.argsort(values, kind="stable")
    half = MOST_ROWS // 2
    rest = np.linspace(half, len(values) - 1, MOST_ROWS - half).round().astype(int)
    return np.concatenate([order[:half], order[rest]])


class ObjectiveModel:
    """Predicts one objective on its own scale; smaller is better."""

    def __init__(
        self,
        rows: Numbers,
        values: Numbers,
        groups: Sequence[str],
        extra: Numbers,
        found: tuple[Warp, Shape],
    ) -> None:
        self._warp, shape = found
        warped, slope = self._warp.there(values), self._warp.slope(values)
        self._surrogate = Surrogate(rows, warped, groups, shape, extra * slope**2)

    def mean(self, rows: Numbers) -> Numbers:
        """The median of what is likely, which a warp leaves where it is, (rows,)."""
        return self._warp.back(self._surrogate.predict(rows)[0])

    def draws(self, rows: Numbers, normal: Numbers, *, noisy: bool = False) -> Numbers:
        """What is likely, at standard normal numbers (draws,): (draws, rows).

        `noisy` ones are of what would be found, which the rows' numbers do not say all about.
        """
        mean, sd = self._surrogate.predict(rows)
        if noisy:
            sd = np.hypot(sd, self._surrogate.noise_sd)
        return self._warp.back(mean + normal[:, None] * sd)

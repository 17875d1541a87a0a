"""Noise: how much of a trained column is the luck of its seeds.

It is the standard deviation over seeds, pooled over all designs that were trained under at least
two. A design with seeds of its own is between its own deviation and the pooled one, since designs
at a ceiling or near divergence vary less or more than the rest (Smyth 2004, Statistical
Applications in Genetics and Molecular Biology 3).

Intervals are for one design chosen beforehand. The best of many single-seed trials is partly
lucky; training the finalists again under fresh seeds is what removes that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from results.columns import is_trained

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
# Seeds that the pooled deviation counts for. In 4,000 simulated runs of 10 to 12 designs, 4 covers
# 93 to 96% for two, three and five seeds, whether all designs vary alike or their deviations are
# log-normal with a factor of 2.2. 1 covers up to 97% and is wider, the pooled deviation alone
# down to 92%. A design of one seed has only the pooled one: 95% where all vary alike, else 91%.
POOLED_SEEDS = 4


@dataclass(frozen=True, slots=True)
class Noise:
    """What a run's repeated seeds say: (pooled standard deviation, degrees of freedom)."""

    seed_sd: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    def half_width(
        self, column: str, seeds: npt.ArrayLike, own_sd: npt.ArrayLike = np.nan
    ) -> Floats:
        """Half the 95% interval of a mean over `seeds` seeds, for the luck of seeds alone.

        `own_sd` is the deviation over these seeds, NaN where there is one or it is not known.
        The result is NaN where no seed of the run was repeated.
        """
        count, own = np.broadcast_arrays(np.asarray(seeds, float), np.asarray(own_sd, float))
        if column not in self.seed_sd:
            return np.full(count.shape, np.nan)
        sd, freedom = self.seed_sd[column]
        extra = np.where(np.isnan(own), 0.0, count - 1)
        squares = POOLED_SEEDS * sd**2 + extra * np.nan_to_num(own) ** 2
        moderated = np.sqrt(squares / (POOLED_SEEDS + extra))
        # Welch and Satterthwaite's degrees of freedom of the weighted mean of two variances; it
        # knows no more than the pooled one, which its own is part of.
        satterthwaite = (POOLED_SEEDS + extra) ** 2 / (POOLED_SEEDS**2 / freedom + extra)
        degrees = np.minimum(satterthwaite, freedom)
        return stdtrit(degrees, (1 + CONFIDENCE) / 2) * moderated / np.sqrt(count)


def pooled_seed_sd(frame: pd.DataFrame, column: str) -> tuple[float, int] | None:
    """Standard deviation over seeds and its degrees of freedom; None without a repeated seed.

    The same design under the same seed gives the same numbers, so repeats of that count once.
    """
    if column not in frame:
        return None
    if "state" in frame:
        frame = frame[frame["state"] == "complete"]
    values = frame.dropna(subset=[column]).groupby(["key", "seed"])[column].mean()
    designs = values.groupby(level="key")
    degrees_of_freedom = len(values) - designs.ngroups
    if degrees_of_freedom == 0:
        return None
    residuals = (values - designs.transform("mean")).to_numpy(dtype=np.float64)
    return float(np.sqrt((residuals**2).sum() / degrees_of_freedom)), degrees_of_freedom


def estimate_noise(frame: pd.DataFrame) -> Noise:
    """The seed noise of every trained column of a run's frame (one row per trial)."""
    repeated = frame[frame.duplicated("key", keep=False)]  # a single row tells nothing of noise
    found = {str(c): pooled_seed_sd(repeated, str(c)) for c in frame if is_trained(str(c))}
    return Noise({column: sd for column, sd in found.items() if sd is not None})

"""Noise: how far apart two designs must be before their difference means anything.

Three kinds of column. *Trained* ones (accuracy, loss, bits, shares of right answers) vary with
the seed: their noise is the standard deviation over seeds, pooled over all designs that were
trained under at least two.
That assumes one variance for all designs, which is rough where some are at chance or at a
ceiling. *Measured* ones (latency ratios) carry their own 95% interval in X_low and X_high.
*Counts* (bytes, parameters, FLOPs) are exact. Of any other column the noise is unknown.

Intervals are for one design chosen beforehand. The best of many single-seed trials is partly
lucky; training the finalists again under fresh seeds is what removes that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from results.objectives import Objective

Kind = Literal["trained", "measured", "exact", "unknown"]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CONFIDENCE = 0.95
EXACT_WORDS = frozenset({"bytes", "parameters", "flops", "pairs"})
TRAINED_WORDS = frozenset({"right", "loss", "bits", "perplexity", "bleu", "chrf"})


@dataclass(frozen=True, slots=True)
class Noise:
    """What a run's repeated seeds say: (pooled standard deviation, degrees of freedom)."""

    seed_sd: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    def half_width(self, column: str, seeds: npt.ArrayLike) -> Floats:
        """Half the 95% interval of a mean over `seeds` seeds; NaN where no seed was repeated."""
        count = np.asarray(seeds, dtype=np.float64)
        if column not in self.seed_sd:
            return np.full(count.shape, np.nan)
        sd, degrees_of_freedom = self.seed_sd[column]
        return stdtrit(degrees_of_freedom, (1 + CONFIDENCE) / 2) * sd / np.sqrt(count)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values of one column and their 95% intervals, NaN where unknown; log scale if measured."""

    value: Floats
    low: Floats
    high: Floats

    def at(self, rows: Any) -> Estimate:
        """The estimates of some rows."""
        return Estimate(self.value[rows], self.low[rows], self.high[rows])


def is_trained(column: str) -> bool:
    """Whether the column varies with the training seed."""
    return column.startswith("accuracy") or bool(TRAINED_WORDS & set(column.split("_")))


def kind_of(column: str, frame: pd.DataFrame) -> Kind:
    """Where the noise of a column comes from."""
    if {f"{column}_low", f"{column}_high"} <= set(frame.columns):
        return "measured"
    if is_trained(column):
        return "trained"
    return "exact" if EXACT_WORDS & set(column.split("_")) else "unknown"


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
    found = {str(c): pooled_seed_sd(frame, str(c)) for c in frame.columns if is_trained(str(c))}
    return Noise({column: sd for column, sd in found.items() if sd is not None})


def estimates(designs: pd.DataFrame, column: str, noise: Noise) -> Estimate:
    """Values and intervals of one column, for a frame as `by_design` makes it."""

    def numbers(name: str) -> Floats:
        return designs[name].to_numpy(dtype=np.float64, na_value=np.nan)

    value = numbers(column)
    match kind_of(column, designs):
        case "measured":
            # Times and ratios err by factors, so their intervals are compared on a log scale.
            with np.errstate(invalid="ignore", divide="ignore"):
                low, high = np.log(numbers(f"{column}_low")), np.log(numbers(f"{column}_high"))
                return Estimate(np.log(value), low, high)
        case "trained":
            half = noise.half_width(column, numbers("seeds"))
        case "exact":
            half = np.zeros_like(value)
        case "unknown":
            half = np.full_like(value, np.nan)
    return Estimate(value, value - half, value + half)


def noise_is_known(designs: pd.DataFrame, objective: Objective, noise: Noise) -> bool:
    """Whether a difference in the objective can be judged for any of the designs."""
    estimate = estimates(designs, objective.column, noise)
    return bool(np.isfinite(estimate.high - estimate.low).any())


def differ(a: Estimate, b: Estimate) -> tuple[Bools, Bools]:
    """Whether a and b differ by more than noise, and whether that can be said at all.

    The 95% interval of a difference from two intervals, each side by its own width: Zou and
    Donner 2008, Statistics in Medicine 27. For two trained means it is Student's interval.
    """
    with np.errstate(invalid="ignore"):
        gap = a.value - b.value
        up = np.hypot(a.value - a.low, b.high - b.value)
        down = np.hypot(a.high - a.value, b.value - b.low)
    width = np.where(gap > 0, up, down)
    known = np.isfinite(gap) & np.isfinite(width)
    return known & (np.abs(gap) > width), known


def interval(row: pd.Series, column: str, noise: Noise) -> tuple[float, float] | None:
    """The 95% interval of one design's value; None where its noise is unknown."""
    one = _one_row(row)
    estimate = estimates(one, column, noise)
    low, high = float(estimate.low[0]), float(estimate.high[0])
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    if kind_of(column, one) == "measured":
        return float(np.exp(low)), float(np.exp(high))
    return low, high


def distinguishable(a: pd.Series, b: pd.Series, objective: Objective, noise: Noise) -> bool | None:
    """Whether two designs differ in an objective by more than noise; None if unknown."""
    column = objective.column
    different, known = differ(
        estimates(_one_row(a), column, noise), estimates(_one_row(b), column, noise)
    )
    return bool(different[0]) if known[0] else None


def _one_row(row: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({str(name): [value] for name, value in row.items()})

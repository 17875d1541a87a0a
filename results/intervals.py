"""Intervals: 95% bounds of each figure, and whether two designs differ by more than noise.

Where they come from depends on the kind of column (`kind_of`). *Trained* ones vary with the seed
and with the held-out set. *Measured* ones (ratios of times) carry their own 95% interval in X_low
and X_high. *Counts* (bytes, parameters, FLOPs) are exact. Of *predictions* and of any other column
the noise is unknown, so that no difference in it is ever marked.

There are two intervals of a trained column. One is to *compare* designs of a run (`estimates`,
`interval`): it leaves out what the one held-out set that they share does to all of them alike. The
other is of a design that is reported by itself (`absolute_interval`) and counts all of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from results.columns import kind_of
from results.held_out import OWN_ERROR
from results.noise import CONFIDENCE, Noise
from results.objectives import Objective

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Half a 95% interval in standard errors that were estimated from the scorer's 16 groups.
HELD_OUT_ERRORS = float(stdtrit(15, (1 + CONFIDENCE) / 2))


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values of one column and their 95% intervals, NaN where unknown; log scale if measured."""

    value: Floats
    low: Floats
    high: Floats
    is_log: bool = False

    def at(self, rows: Any) -> Estimate:
        """The estimates of some rows."""
        return Estimate(self.value[rows], self.low[rows], self.high[rows], self.is_log)


def estimates(
    designs: pd.DataFrame, column: str, noise: Noise, *, absolute: bool = False
) -> Estimate:
    """Values and intervals of one column, for a frame as `by_design` makes it.

    The intervals are for comparisons within the run, or `absolute`: of each design by itself.
    """
    value = _numbers(designs, column)
    match kind_of(column, designs.columns):
        case "measured":
            # Times and ratios err by factors, so their intervals are compared on a log scale.
            with np.errstate(invalid="ignore", divide="ignore"):
                bounds = (np.log(_numbers(designs, f"{column}_{end}")) for end in ("low", "high"))
                return Estimate(np.log(value), *bounds, is_log=True)
        case "trained":
            seeds = noise.half_width(
                column, _numbers(designs, "seeds"), _numbers(designs, f"{column}_sd")
            )
            half = np.hypot(seeds, HELD_OUT_ERRORS * held_out_error(designs, column, absolute))
        case "exact":
            half = np.zeros_like(value)
        case "predicted" | "unknown":
            half = np.full_like(value, np.nan)
    return Estimate(value, value - half, value + half)


def held_out_error(designs: pd.DataFrame, column: str, absolute: bool) -> Floats:
    """Standard error of a trained column by its held-out set, 0 where the run doesn't tell.

    `absolute` is all of it; else the part that is a design's own. That part is known of the whole
    accuracy, and taken for the same share of each part's. `absolute` errs on the safe side: what a
    seed does on single items is also in the deviation over seeds.
    """
    whole = np.nan_to_num(_numbers(designs, f"{column}_se"))
    if absolute:
        return whole
    with np.errstate(invalid="ignore", divide="ignore"):
        share = _numbers(designs, OWN_ERROR) / _numbers(designs, "accuracy_se")
    return np.nan_to_num(share, posinf=0.0) * whole


def shared_half_width(designs: pd.DataFrame, column: str) -> float | None:
    """By how much another held-out set would move all designs together, at 95%; None if unknown."""
    whole, own = (held_out_error(designs, column, absolute) for absolute in (True, False))
    known = (whole > 0) & np.isfinite(_numbers(designs, OWN_ERROR))
    if not known.any():
        return None
    return HELD_OUT_ERRORS * float(np.sqrt(np.median((whole**2 - own**2)[known])))


def noise_is_known(designs: pd.DataFrame, objective: Objective, noise: Noise) -> bool:
    """Whether a difference in the objective can be judged for any of the designs."""
    estimate = estimates(designs, objective.column, noise)
    return bool(np.isfinite(estimate.high - estimate.low).any())


def gap(a: Estimate, b: Estimate) -> tuple[Floats, Floats, Floats]:
    """a - b with its 95% interval; of logarithms where the column is measured.

    From two intervals, each side by its own width: Zou and Donner 2008, Statistics in Medicine 27.
    For two trained means it is Student's interval.
    """
    with np.errstate(invalid="ignore"):
        value = a.value - b.value
        down = np.hypot(a.value - a.low, b.high - b.value)
        up = np.hypot(a.high - a.value, b.value - b.low)
    return value, value - down, value + up


def differ(a: Estimate, b: Estimate) -> tuple[Bools, Bools]:
    """Whether a and b differ by more than noise, and whether that can be said at all."""
    value, low, high = gap(a, b)
    known = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
    return known & ((low > 0) | (high < 0)), known


def interval(row: pd.Series, column: str, noise: Noise) -> tuple[float, float] | None:
    """One design's 95% interval for comparisons within its run; None where noise is unknown."""
    return _bounds(row, column, noise, absolute=False)


def absolute_interval(row: pd.Series, column: str, noise: Noise) -> tuple[float, float] | None:
    """The 95% interval of one design that is reported by itself; None where noise is unknown."""
    return _bounds(row, column, noise, absolute=True)


def _bounds(
    row: pd.Series, column: str, noise: Noise, absolute: bool
) -> tuple[float, float] | None:
    estimate = estimates(one_row(row), column, noise, absolute=absolute)
    low, high = float(estimate.low[0]), float(estimate.high[0])
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    return (float(np.exp(low)), float(np.exp(high))) if estimate.is_log else (low, high)


def intervals(designs: pd.DataFrame, column: str, noise: Noise) -> tuple[Floats, Floats]:
    """`interval` of every row of a frame as `by_design` makes it; NaN where noise is unknown."""
    estimate = estimates(designs, column, noise)
    known = np.isfinite(estimate.low) & np.isfinite(estimate.high)
    ends = (np.where(known, end, np.nan) for end in (estimate.low, estimate.high))
    low, high = (np.exp(end) if estimate.is_log else end for end in ends)
    return low, high


def distinguishable(a: pd.Series, b: pd.Series, objective: Objective, noise: Noise) -> bool | None:
    """Whether two designs differ in an objective by more than noise; None if unknown."""
    column = objective.column
    different, known = differ(
        estimates(one_row(a), column, noise), estimates(one_row(b), column, noise)
    )
    return bool(different[0]) if known[0] else None


def one_row(row: pd.Series) -> pd.DataFrame:
    """A frame of one row."""
    return pd.DataFrame({str(name): [value] for name, value in row.items()})


def _numbers(designs: pd.DataFrame, column: str) -> Floats:
    """A column's values, NaN where there are none."""
    if column not in designs:
        return np.full(len(designs), np.nan)
    return designs[column].to_numpy(dtype=np.float64, na_value=np.nan)

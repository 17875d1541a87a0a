"""Importance: how much of a metric each axis of the designs explains, where anything does.

A forest of randomised trees is fitted to named values of designs and judged on designs it has not
seen. An axis matters as much as the prediction gets worse when its columns, for all layers
together, are shuffled among these designs (Breiman 2001, "Random Forests", Machine Learning 45;
by groups of columns as in Gregorutti et al. 2015, arXiv:1411.4170). Half of that growth of the
squared error is the share of the metric's variance that depends on the axis, alone or together with
others, so that shares may add up to more than all of it; of axes that vary together each may hide
the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import KFold

from results.design_axes import DesignAxes, axis_words, lower_words

Floats = npt.NDArray[np.float64]

LEAST = 20  # designs below which nothing is fitted
MOST = 1500  # designs that are fitted; the rest adds little and takes long
FOLDS, SHUFFLES, TREES = 5, 3, 30
HEIGHTS = 6  # places in a stack that have columns of their own


@dataclass(frozen=True)
class Importance:
    """Of one metric: how well it is predicted, and what each axis has to do with it."""

    column: str
    designs: int  # that were fitted
    of: int  # that have the metric
    r2: float  # on designs not seen; NaN where nothing was fitted
    r2_low: float
    r2_high: float
    axes: pd.DataFrame  # axis, share, low, high; the most important first

    @property
    def claimed(self) -> bool:
        """Whether the axes predict the metric beyond chance."""
        return bool(self.r2_low > 0)

    def sentence(self, name: str) -> str:
        """What this says, in a line."""
        if not np.isfinite(self.r2):
            why = (
                f"it takes {LEAST} designs and there are {self.of:,}"
                if self.of < LEAST
                else "nothing varies"
            )
            return f"What {name} depends on cannot be said yet: {why}."
        of = f"R² {self.r2:.2f} from {self.designs:,} designs"
        if not self.claimed:
            return f"{name[:1].upper() + name[1:]} cannot be predicted from the axes yet ({of})."
        sure = self.axes[self.axes["low"] > 0]
        if sure.empty:
            return f"Several axes together explain {name} ({of}); none stands out."
        first, *others = [lower_words(axis_words(str(axis))) for axis in sure["axis"][:3]]
        share = float(sure["share"].iloc[0])
        rest = f", then on {' and '.join(others)}" if others else ""
        title = f"{name[:1].upper()}{name[1:]}"
        return f"{title} depends most on {first} ({share:.0%} of its variance){rest}; {of}."


def importances(
    axes: DesignAxes, values: Mapping[str, npt.ArrayLike], seed: int = 0
) -> list[Importance]:
    """For each metric, given as values of the designs of `axes`."""
    matrix, groups = columns_of(axes)
    return [
        _of_one(column, matrix, groups, np.asarray(found, dtype=np.float64), seed)
        for column, found in values.items()
    ]


def columns_of(axes: DesignAxes) -> tuple[Floats, list[str]]:
    """(designs, columns), and the axis of each column.

    Of an axis of the layers: mean or shares, and what stands at some relative heights.
    """
    columns: list[Floats] = []
    groups: list[str] = []
    for name in axes.sizes:
        columns.append(axes.sizes[name].to_numpy(dtype=np.float64))
        groups.append(str(name))
    for axis in axes.layers:
        deep = (axis.codes >= 0).sum(axis=1)
        names = range(len(axis.levels)) if len(axis.levels) > 2 else range(1)
        found = [axis.means()] if axis.is_number else [axis.shares(code) for code in names]
        heights = min(HEIGHTS, axis.codes.shape[1])
        for height in range(heights if axis.codes.shape[1] > 1 else 0):
            place = (height * np.maximum(deep - 1, 0) // max(1, heights - 1)).astype(int)
            found.append(axis.codes[np.arange(len(axes)), place].astype(np.float64))
        columns += found
        groups += [axis.name] * len(found)
    if not columns:
        return np.empty((len(axes), 0)), []
    matrix = np.stack(columns, axis=1)
    middle = np.nan_to_num(np.nanmean(np.where(np.isnan(matrix), np.nan, matrix), axis=0))
    return np.where(np.isnan(matrix), middle, matrix), groups


def _of_one(
    column: str, matrix: Floats, groups: list[str], target: Floats, seed: int
) -> Importance:
    known = np.flatnonzero(np.isfinite(target))
    nothing = pd.DataFrame({"axis": [], "share": [], "low": [], "high": []})
    nan = float("nan")
    if len(known) < LEAST or not groups or np.ptp(target[known]) == 0:
        return Importance(column, 0, len(known), nan, nan, nan, nothing)
    rng = np.random.default_rng(seed)
    rows = known if len(known) <= MOST else np.sort(rng.choice(known, MOST, replace=False))
    inputs, wanted = matrix[rows], target[rows]
    names = list(dict.fromkeys(groups))
    where = {name: [i for i, group in enumerate(groups) if group == name] for name in names}
    scores, losses = [], []  # by fold
    for seen, held in KFold(FOLDS, shuffle=True, random_state=seed).split(inputs):
        forest = ExtraTreesRegressor(
            TREES, min_samples_leaf=2, max_features=0.4, random_state=seed, n_jobs=1
        ).fit(inputs[seen], wanted[seen])
        spread = float(wanted[held].var()) or 1.0
        error = _error(forest, inputs[held], wanted[held])
        scores.append(1 - error / spread)
        losses.append(
            [
                (_shuffled(forest, inputs[held], wanted[held], where[name], rng) - error)
                / spread
                / 2
                for name in names
            ]
        )
    r2, low, high = _interval(np.array(scores)[:, None])
    share, share_low, share_high = _interval(np.array(losses))
    table = pd.DataFrame({"axis": names, "share": share, "low": share_low, "high": share_high})
    table = table.sort_values("share", ascending=False, ignore_index=True)
    return Importance(
        column, len(rows), len(known), float(r2[0]), float(low[0]), float(high[0]), table
    )


def _error(forest: ExtraTreesRegressor, inputs: Floats, wanted: Floats) -> float:
    return float(((forest.predict(inputs) - wanted) ** 2).mean())


def _shuffled(
    forest: ExtraTreesRegressor,
    inputs: Floats,
    wanted: Floats,
    columns: list[int],
    rng: np.random.Generator,
) -> float:
    """The error with an axis' columns taken from other designs, all shuffles at once."""
    many = np.tile(inputs, (SHUFFLES, 1))
    orders = np.concatenate([rng.permutation(len(inputs)) for _ in range(SHUFFLES)])
    many[:, columns] = inputs[orders][:, columns]
    return _error(forest, many, np.tile(wanted, SHUFFLES))


def _interval(by_fold: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean and 95% interval over folds, (folds, columns).

    Folds share designs to learn from, so their deviation is taken for more than a share of it
    (Nadeau and Bengio 2003, "Inference for the Generalization Error", Machine Learning 52).
    """
    folds = len(by_fold)
    mean = by_fold.mean(axis=0)
    deviation = by_fold.std(axis=0, ddof=1) * np.sqrt(1 / folds + 1 / (folds - 1))
    half = stdtrit(folds - 1, 0.975) * deviation
    return mean, mean - half, mean + half

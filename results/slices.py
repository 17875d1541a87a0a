"""Slices: a metric by the values of one axis, by layer, and by two axes together."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import fdtrc, stdtr, stdtrit

from results.design_axes import LayerAxis

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

BINS = 6  # of a number with many values
EXACT = 13  # values up to which each is a group of its own: shares of 12 layers are
EXACT_PAIRS = 6  # the same where two are crossed
FEW = 5  # designs below which a cell's mean says little
CHANCE = 0.05  # that the means of an axis are told apart, or any pair is sure, where none differs
LEAST_SHARE = 0.005  # of a metric's variance, below which no pair is spoken of
MOST_FIGURES = 16  # axes whose pairs are tried
MOST_PAIR_ROWS = 2000


def groups(values: Floats, exact: int = EXACT) -> tuple[Ints, list[str], Floats]:
    """The group of each value (-1 where it is missing), what each is called, and its middle."""
    there = np.isfinite(values)
    found = np.unique(values[there])
    codes = np.full(len(values), -1, dtype=np.intp)
    if len(found) <= exact:
        codes[there] = np.searchsorted(found, values[there])
        return codes, [_number(value) for value in found], found
    edges = np.unique(np.quantile(values[there], np.linspace(0, 1, BINS + 1)))
    codes[there] = np.clip(
        np.searchsorted(edges, values[there], side="right") - 1, 0, len(edges) - 2
    )
    used = np.unique(codes[there])  # an edge lies between values, so a range may hold none
    names = [f"{_number(float(edges[code]))} to {_number(float(edges[code + 1]))}" for code in used]
    codes[there] = np.searchsorted(used, codes[there])
    middles = [float(values[codes == code].mean()) for code in range(len(names))]
    return codes, names, np.array(middles)


def means(codes: Ints, names: list[str], middles: Floats, metric: Floats) -> pd.DataFrame:
    """Mean, 95% interval and count of a metric by group: group, middle, mean, low, high, count."""
    rows = []
    for code, name in enumerate(names):
        values = metric[(codes == code) & np.isfinite(metric)]
        rows.append((name, float(middles[code]), *mean_interval(values), len(values)))
    frame = pd.DataFrame(rows, columns=["group", "middle", "mean", "low", "high", "count"])
    return frame[frame["count"] > 0].reset_index(drop=True)


def mean_interval(values: Floats) -> tuple[float, float, float]:
    """A mean and its 95% interval; without one where there are few values."""
    if len(values) < FEW:
        return (float(values.mean()) if len(values) else float("nan")), float("nan"), float("nan")
    half = float(stdtrit(len(values) - 1, 0.975)) * float(values.std(ddof=1)) / len(values) ** 0.5
    mean = float(values.mean())
    return mean, mean - half, mean + half


def extremes(by_value: pd.DataFrame) -> tuple[pd.Series, pd.Series, bool] | None:
    """A low and a high one of some `means`, and whether they differ beyond chance.

    They are the pair farthest apart that differs, by Welch's test times the number of pairs; where
    none does, the lowest and the highest. None where fewer than two groups have enough designs.
    """
    rows = by_value[by_value["count"] >= FEW].sort_values("mean", kind="stable")
    if len(rows) < 2:
        return None
    mean, free = rows["mean"].to_numpy(dtype=float), rows["count"].to_numpy(dtype=float) - 1
    variance = ((rows["high"].to_numpy(dtype=float) - mean) / stdtrit(free, 0.975)) ** 2
    low, high = np.triu_indices(len(rows), 1)
    gap, square = mean[high] - mean[low], variance[high] + variance[low]
    with np.errstate(divide="ignore", invalid="ignore"):
        both = square**2 / (variance[high] ** 2 / free[high] + variance[low] ** 2 / free[low])
        p = 2 * stdtr(both, -gap / np.sqrt(square)) * len(gap)
    sure = np.where(square > 0, p < CHANCE, gap > 0)
    pair = int(np.argmax(np.where(sure, gap, -1.0))) if sure.any() else len(rows) - 2
    return rows.iloc[low[pair]], rows.iloc[high[pair]], bool(sure.any())


def by_layer(axis: LayerAxis, metric: Floats) -> pd.DataFrame:
    """The metric's mean where a layer has a value: layer (from 1), value, mean, count, few."""
    rows = []
    known = np.isfinite(metric)
    codes, names = axis.codes, [str(level) for level in axis.levels]
    if axis.is_number and len(names) > EXACT:
        levels = np.array([float(level) for level in axis.levels])
        grouped, names, _ = groups(np.where(codes >= 0, levels[codes], np.nan).ravel())
        codes = grouped.reshape(codes.shape)
    for layer, places in enumerate(codes.T, 1):
        for code, name in enumerate(names):
            values = metric[(places == code) & known]
            if len(values):
                rows.append((layer, name, float(values.mean()), len(values)))
    frame = pd.DataFrame(rows, columns=["layer", "value", "mean", "count"])
    return frame.assign(few=frame["count"] < FEW)


def by_two(
    first: tuple[Ints, list[str]], second: tuple[Ints, list[str]], metric: Floats
) -> pd.DataFrame:
    """The metric's mean in every cell of two groupings: a, b, mean, count, few."""
    known = (first[0] >= 0) & (second[0] >= 0) & np.isfinite(metric)
    frame = pd.DataFrame({"i": first[0][known], "j": second[0][known], "value": metric[known]})
    cells = frame.groupby(["i", "j"])["value"].agg(["mean", "size"]).reset_index()
    return pd.DataFrame(
        {
            "a": [first[1][i] for i in cells["i"]],
            "b": [second[1][j] for j in cells["j"]],
            "mean": cells["mean"],
            "count": cells["size"],
            "few": cells["size"] < FEW,
        }
    )


def interactions(figures: pd.DataFrame, metric: Floats, seed: int = 0) -> pd.DataFrame:
    """How far pairs of axes go beyond the sum of what each does, the strongest first.

    Columns a, b, share, p and sure.

    Each figure is grouped. Alone it acts by its groups and by a parabola, lest what is uneven
    within a group be taken for a pair's. Beside all that, a pair adds its cells; `share` is the
    part of the metric's variance that this explains, less what chance would (omega squared), and
    `p` that of the F test, times the number of pairs; `sure` needs a share worth a word as well:
    of an exact metric any misfit is beyond chance. Figures of one axis are no pair.
    """
    empty = pd.DataFrame({"a": [], "b": [], "share": [], "p": [], "sure": []})
    known = np.flatnonzero(np.isfinite(metric))
    if len(known) > MOST_PAIR_ROWS:
        known = np.sort(np.random.default_rng(seed).choice(known, MOST_PAIR_ROWS, replace=False))
    target = metric[known]
    names = [str(name) for name in figures][:MOST_FIGURES]
    pairs = [
        (a, b) for a, b in combinations(names, 2) if a.partition("=")[0] != b.partition("=")[0]
    ]
    if not pairs or len(known) < 3 or np.ptp(target) == 0:
        return empty
    codes = {
        name: groups(figures[name].to_numpy(dtype=np.float64)[known], EXACT_PAIRS)[0]
        for name in names
    }
    codes = {name: found + 1 for name, found in codes.items()}  # what lacks it is a group as well
    alone = [_alone(figures[name].to_numpy(dtype=np.float64)[known], codes[name]) for name in names]
    main = np.column_stack([np.ones(len(known)), *alone])
    basis = _basis(main)
    left = target - basis @ (basis.T @ target)
    total = float(((target - target.mean()) ** 2).sum())
    rows = []
    for a, b in pairs:
        cells = np.unique(codes[a] * (BINS + EXACT) + codes[b], return_inverse=True)[1]
        added = _dummies(cells)
        extra = _basis(added - basis @ (basis.T @ added))
        explained = float(((extra.T @ left) ** 2).sum())
        free, rest = extra.shape[1], len(known) - basis.shape[1] - extra.shape[1]
        if not free or rest < 1:
            continue
        noise = max(float((left**2).sum()) - explained, 0.0) / rest
        f = explained / free / noise if noise > 0 else np.inf
        share = max(0.0, (explained - free * noise) / (total + noise))
        rows.append((a, b, share, min(1.0, float(fdtrc(free, rest, f)) * len(pairs))))
    frame = pd.DataFrame(rows, columns=["a", "b", "share", "p"])
    frame["sure"] = (frame["p"] < CHANCE) & (frame["share"] >= LEAST_SHARE)
    return frame.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def _alone(values: Floats, codes: Ints) -> Floats:
    """Columns for a figure by itself: its groups, itself and its square."""
    there = np.isfinite(values)
    scaled = np.zeros(len(values))
    if there.any() and np.ptp(values[there]) > 0:
        scaled[there] = (values[there] - values[there].mean()) / values[there].std()
    return np.column_stack([_dummies(codes), scaled, scaled**2])


def _dummies(codes: Ints) -> Floats:
    return np.eye(int(codes.max()) + 1)[codes]


def _basis(columns: Floats) -> Floats:
    """An orthonormal basis of what the columns span."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > 1e-8 * max(1.0, sizes.max(initial=0.0)) * len(columns) ** 0.5]


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"

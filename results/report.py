"""Front report: one row per design, on the front or not, and what noise lets us say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from results.designs import by_design
from results.front_probability import front_probability
from results.fronts import knee, non_dominated, signed_points
from results.intervals import Estimate, differ, estimates
from results.noise import Noise, estimate_noise
from results.objectives import Objective

Bools = npt.NDArray[np.bool_]
FEWER_DRAWS = 200  # a share of a half is then good to 0.07, at 95%
MOST_DRAWN = 10_000  # designs among which that is done within a tenth of a second
Keep = Callable[[pd.DataFrame], Bools]  # which rows of `by_design`'s table are of interest


def front_report(
    frame: pd.DataFrame,
    objectives: Sequence[Objective],
    keep: Keep | None = None,
    noise: Noise | None = None,
    *,
    sure: bool = True,
) -> pd.DataFrame:
    """The designs of a run, best informed choice of one made easy. Beside `by_design`'s columns:

    - `on_front`: nothing dominates the point estimates;
    - `within_noise_of_front`: dominated, but from no front design that dominates it does it
      differ by more than noise in any objective; NA where the noise is unknown;
    - `same_as`: for a front design, the trials of front designs that differ from it by no more
      than noise in every objective; None where the noise is unknown;
    - `knee`: the front's knee;
    - `front_probability`: the share of draws from the noise in which the design is on the front;
      NA where the noise is unknown; left out unless `sure`, since it takes as long as the rest.

    With `keep`, the front is that of the designs kept. Means and noise still come from all rows:
    a condition on single rows would keep the lucky seeds of a design and drop the others.
    """
    noise = estimate_noise(frame) if noise is None else noise
    designs = by_design(frame, objectives)
    if keep is not None:
        designs = designs[keep(designs)].reset_index(drop=True)
    designs = _judged(designs, objectives, noise)
    if sure:
        designs["front_probability"] = front_probability(designs, objectives, noise)
    return designs


def front_among(
    report: pd.DataFrame, objectives: Sequence[Objective], keep: Bools, noise: Noise
) -> pd.DataFrame:
    """The front report of the designs that are kept, as `front_report` with `keep` makes it.

    `front_probability` is from fewer draws, so that one can wait for it; of more designs than
    `MOST_DRAWN` it is unknown.
    """
    kept = _judged(report[keep].reset_index(drop=True), objectives, noise)
    if len(kept) > MOST_DRAWN:
        unknown = pd.Series(pd.NA, index=kept.index, dtype="Float64")
        return kept.assign(front_probability=unknown)
    return kept.assign(front_probability=front_probability(kept, objectives, noise, FEWER_DRAWS))


def _judged(designs: pd.DataFrame, objectives: Sequence[Objective], noise: Noise) -> pd.DataFrame:
    """The designs with what compares them with one another."""
    designs = designs.assign(on_front=non_dominated(designs, objectives))
    on_front = designs["on_front"].to_numpy(dtype=bool)
    columns = [estimates(designs, o.column, noise) for o in objectives]
    points = signed_points(designs, objectives)
    designs["within_noise_of_front"] = _within_noise(points, columns, on_front)
    same_as = _same_as(designs, columns, on_front)
    designs["same_as"] = pd.Series(same_as, index=designs.index, dtype=object)
    designs["knee"] = False
    if on_front.any():
        designs.loc[knee(designs[on_front], objectives), "knee"] = True
    return designs


def _compare(
    columns: Sequence[Estimate], rows: npt.NDArray[np.intp], other: int
) -> tuple[Bools, Bools]:
    """Whether rows differ from another in any objective, and whether none can be told apart."""
    different = np.zeros(len(rows), dtype=bool)
    all_known = np.ones(len(rows), dtype=bool)
    for column in columns:
        differs, known = differ(column.at(rows), column.at(other))
        different |= differs
        all_known &= known
    return different, all_known


def _within_noise(
    points: npt.NDArray[np.float64], columns: Sequence[Estimate], on_front: Bools
) -> pd.arrays.BooleanArray:
    """For dominated rows: does every dominator on the front differ by no more than noise?"""
    within = ~on_front
    unknown = np.zeros(len(points), dtype=bool)
    candidates = np.flatnonzero(within)
    for front_row in np.flatnonzero(on_front):
        dominated = candidates[(points[front_row] <= points[candidates]).all(axis=1)]
        different, all_known = _compare(columns, dominated, int(front_row))
        within[dominated[different]] = False
        unknown[dominated[~all_known]] = True
        candidates = candidates[within[candidates]]
    return pd.arrays.BooleanArray(within, unknown & within)


def _same_as(
    designs: pd.DataFrame, columns: Sequence[Estimate], on_front: Bools
) -> list[list[int] | None]:
    """For front rows: the trials of the others that noise does not tell apart from them."""
    same: list[list[int] | None] = [[]] * len(designs)  # one empty list for all others
    rows = np.flatnonzero(on_front)
    trials = designs["trial"].to_numpy()
    for row in rows:
        others = rows[rows != row]
        different, all_known = _compare(columns, others, int(row))
        undecided = ~different & ~all_known
        same[row] = None if undecided.any() else [int(t) for t in trials[others[~different]]]
    return same

"""Front report: one row per design, on the front or not, and what noise lets us say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from results.fronts import is_comparable, knee, non_dominated, signed_points
from results.noise import Estimate, differ, estimate_noise, estimates
from results.objectives import Objective
from results.schema import FIXED_COLUMNS

Bools = npt.NDArray[np.bool_]
Keep = Callable[[pd.DataFrame], Bools]  # which rows of `by_design`'s table are of interest


def by_design(frame: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """One row per design (key): its first trial, its seeds, and the mean of each metric.

    A design under other settings is a row of its own; `settings` is a column where any has some.
    Trials count that are complete and have every objective. Bounds (X_low, X_high) are averaged,
    not narrowed: the seeds of one design may share one measurement.
    """
    missing = [o.column for o in objectives if o.column not in frame]
    frame = frame.assign(**dict.fromkeys(missing, np.nan))
    frame = frame[is_comparable(frame, objectives)]
    metrics = [
        str(c)
        for c in frame.columns
        if c not in FIXED_COLUMNS and pd.api.types.is_numeric_dtype(frame[c])
    ]
    per_seed = frame.groupby(["key", "seed"], sort=False)[metrics].mean()
    means = per_seed.groupby(level="key", sort=False).mean()
    first = frame.sort_values("trial", kind="stable").drop_duplicates("key").set_index("key")
    designs = pd.DataFrame(
        {
            "trial": first["trial"],
            "seeds": per_seed.groupby(level="key").size(),
            "origin": _joined_origins(frame),
            **({"design": first["design"]} if "design" in first else {}),
            **({"settings": first["settings"]} if _any_settings(first) else {}),
        }
    )
    return designs.join(means).sort_values("trial").rename_axis("key").reset_index()


def front_report(
    frame: pd.DataFrame, objectives: Sequence[Objective], keep: Keep | None = None
) -> pd.DataFrame:
    """The designs of a run, best informed choice of one made easy. Beside `by_design`'s columns:

    - `on_front`: nothing dominates the point estimates;
    - `within_noise_of_front`: dominated, but from no front design that dominates it does it
      differ by more than noise in any objective; NA where the noise is unknown;
    - `same_as`: for a front design, the trials of front designs that differ from it by no more
      than noise in every objective; None where the noise is unknown;
    - `knee`: the front's knee.

    With `keep`, the front is that of the designs kept. Means and noise still come from all rows:
    a condition on single rows would keep the lucky seeds of a design and drop the others.
    """
    noise = estimate_noise(frame)
    designs = by_design(frame, objectives)
    if keep is not None:
        designs = designs[keep(designs)].reset_index(drop=True)
    designs["on_front"] = non_dominated(designs, objectives)
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


def _any_settings(rows: pd.DataFrame) -> bool:
    return "settings" in rows and bool(rows["settings"].notna().any())


def _joined_origins(frame: pd.DataFrame) -> pd.Series:
    """Where each design came from, several origins joined; most designs have one."""
    origins = frame[["key", "origin"]].drop_duplicates().sort_values("origin")
    several = origins["key"].duplicated(keep=False)
    joined = origins[several].groupby("key")["origin"].agg(", ".join)
    return pd.concat([origins[~several].set_index("key")["origin"], joined])


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
    same: list[list[int] | None] = [[] for _ in range(len(designs))]
    rows = np.flatnonzero(on_front)
    trials = designs["trial"].to_numpy()
    for row in rows:
        others = rows[rows != row]
        different, all_known = _compare(columns, others, int(row))
        undecided = ~different & ~all_known
        same[row] = None if undecided.any() else [int(t) for t in trials[others[~different]]]
    return same

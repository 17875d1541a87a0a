"""Designs: the rows of a run as one row per design, each metric taken the way it was made.

What is trained is a mean over seeds. What is measured is not: the figures of one row combine all
processes in which the design was measured until then, so those of the row with the most count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from results.columns import is_trained, numeric_columns
from results.fronts import is_comparable
from results.objectives import Objective

PROCESSES = "_processes"


def by_design(frame: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """One row per design (key): its first trial, its seeds, and its metrics.

    A design under other settings is a row of its own; `settings` is a column where any has some.
    Trials count that are complete and have every objective; for what was measured in several
    processes (see `with_best_measured`) all rows of the design do. A design of which any trial was
    infeasible is left out: measured again in several processes, a finalist may break a limit that
    the first look let pass. Beside the mean of a trained column
    X there is X_sd, its deviation over seeds. Standard errors (X_se) are averaged, not narrowed:
    the seeds of a design share one held-out set. Nor are bounds (X_low, X_high) where the number of
    processes is not known: seeds may share one measurement.
    """
    codes, keys = pd.factorize(frame["key"])
    frame = frame.assign(key=codes)  # numbers are quicker to compare than texts
    frame = without_infeasible(with_best_measured(frame))
    missing = [o.column for o in objectives if o.column not in frame]
    frame = frame.assign(**dict.fromkeys(missing, np.nan))
    frame = frame[is_comparable(frame, objectives)]
    first = frame.sort_values("trial", kind="stable").drop_duplicates("key").set_index("key")
    designs = pd.DataFrame(
        {
            "trial": first["trial"],
            "seeds": frame.drop_duplicates(["key", "seed"]).groupby("key").size(),
            "origin": _joined_origins(frame),
            **({"design": first["design"]} if "design" in first else {}),
            **({"settings": first["settings"]} if _any_settings(first) else {}),
        }
    )
    designs = designs.join(_over_seeds(frame, first))
    designs = designs.sort_values("trial").rename_axis("key").reset_index()
    return designs.assign(key=keys.take(designs["key"].to_numpy()))


def without_infeasible(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of designs of which no trial was infeasible."""
    if "state" not in frame:
        return frame
    infeasible = frame["state"].eq("infeasible").to_numpy(dtype=bool)
    if not infeasible.any():
        return frame
    codes = _codes(frame)
    broken = np.zeros(len(frame), dtype=bool)
    broken[codes[infeasible]] = True
    return frame[~broken[codes]]


def cells(frame: pd.DataFrame) -> list[str]:
    """What was measured in a known number of processes, such as `prefill_2048`."""
    return [str(c).removesuffix(PROCESSES) for c in frame.columns if str(c).endswith(PROCESSES)]


def columns_of(cell: str, frame: pd.DataFrame) -> list[str]:
    """The columns of one cell: its times and ratios, their bounds, its processes."""
    longer = tuple(f"{c}_" for c in cells(frame) if c.startswith(f"{cell}_"))
    names = [str(c) for c in frame.columns if str(c).startswith(f"{cell}_")]
    return [name for name in names if not (longer and name.startswith(longer))]


def with_best_measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Every row with the best figures of its design: those of the most processes, then the latest.

    Whether a row's own training came to anything does not matter to what was measured before.
    Value and bounds come from one row. Where no row of a design names processes, it stays as it is.
    """
    order = frame["told_at" if "told_at" in frame else "trial"].to_numpy()
    codes, rows = _codes(frame), np.arange(len(frame))
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for cell in cells(frame):
        processes = frame[f"{cell}{PROCESSES}"].to_numpy(dtype=float, na_value=np.nan)
        measured = np.flatnonzero(~np.isnan(processes))
        ranked = measured[np.lexsort((order[measured], processes[measured]))]
        last, reversed_places = np.unique(codes[ranked][::-1], return_index=True)
        best = np.full(len(frame), -1)
        best[last] = ranked[::-1][reversed_places]
        source = np.where(best[codes] >= 0, best[codes], rows)
        for name in columns_of(cell, frame) if (source != rows).any() else ():
            columns[name] = frame[name].to_numpy(dtype=float, na_value=np.nan)[source]
    return frame.assign(**columns)


def _codes(frame: pd.DataFrame) -> npt.NDArray[np.intp]:
    """A number for each row's design: texts are slow to compare again and again."""
    return pd.factorize(frame["key"])[0]


def _over_seeds(frame: pd.DataFrame, first: pd.DataFrame) -> pd.DataFrame:
    """Metrics by key: means over seeds, and the deviation of what is trained."""
    metrics = numeric_columns(frame)
    errors = [c for c in metrics if c.endswith("_se")]
    several = frame.duplicated("key", keep=False)
    single, frame = frame[~several], frame[several]  # of one row nothing is to be taken together
    frame = frame.assign(**{c: frame[c] ** 2 for c in errors})  # variances have a mean
    per_seed = frame.groupby(["key", "seed"], sort=False)[metrics].mean()
    designs = per_seed.groupby(level="key", sort=False)
    found = designs.mean()
    found[errors] = np.sqrt(found[errors])
    for cell in cells(frame):  # the same in each row, and a mean would round it
        names = columns_of(cell, frame)
        same = first.loc[found.index, f"{cell}{PROCESSES}"].notna()
        found.loc[same.index[same], names] = first.loc[same.index[same], names]
    if len(per_seed) > len(found):
        trained = [c for c in metrics if is_trained(c)]
        found = found.join(designs[trained].std().add_suffix("_sd"))
    alone = single.set_index("key")[metrics].astype(found[metrics].dtypes.to_dict())
    return pd.concat([found, alone]) if len(found) else alone


def _any_settings(rows: pd.DataFrame) -> bool:
    return "settings" in rows and bool(rows["settings"].notna().any())


def _joined_origins(frame: pd.DataFrame) -> pd.Series:
    """Where each design came from, several origins joined; most designs have one."""
    origins = frame[["key", "origin"]].drop_duplicates().sort_values("origin")
    several = origins["key"].duplicated(keep=False)
    joined = origins[several].groupby("key")["origin"].agg(", ".join)
    return pd.concat([origins[~several].set_index("key")["origin"], joined])

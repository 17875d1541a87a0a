"""Trials: one trial's figures with their noise, and the curves it left."""

from __future__ import annotations

import pandas as pd
from pandas.api.types import is_bool_dtype

from dashboard.frames.quantities import Quantity, quantity
from dashboard.loading import Loaded
from results import interval
from results import metric_columns as numeric_metrics


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """The metrics of a run that have a value; bounds and errors of others are not metrics."""
    return [name for name in numeric_metrics(frame) if frame[name].notna().any()]


def quantities(loaded: Loaded) -> dict[str, Quantity]:
    """Every quantity that an axis may show: the objectives first."""
    objectives = loaded.run.objectives
    columns = [o.column for o in objectives]
    columns += [c for c in metric_columns(loaded.report) if c not in columns and c != "seeds"]
    columns = [c for c in columns if c in loaded.report and not is_bool_dtype(loaded.report[c])]
    return {c: quantity(c, loaded.report, objectives) for c in columns}


def metric_table(loaded: Loaded, trial: int) -> pd.DataFrame:
    """What is known of a trial's design: the mean over its seeds, and the 95% interval."""
    row = loaded.design_of(trial)
    row = loaded.row_of(trial) if row is None else row
    rows = []
    objectives = [o.column for o in loaded.run.objectives]
    others = [c for c in metric_columns(loaded.frame) if c not in objectives]
    others.sort(key=lambda c: (c.endswith("_ms"), not c.endswith("_ratio")))  # ratios travel
    for column in [*objectives, *others]:
        if row is None or column not in row.index or pd.isna(row[column]):
            continue
        q = quantity(column, pd.DataFrame({column: [row[column]]}), loaded.run.objectives)
        bounds = interval(row, column, loaded.noise) if "seeds" in row.index else None
        value, text = q.parts(float(row[column]), bounds)
        rows.append((q.title, value, text or ("unknown" if bounds is None else "exact")))
    return pd.DataFrame(rows, columns=["Metric", "Value", "95% interval"])


def learning_curves(loaded: Loaded, named: dict[str, str]) -> pd.DataFrame:
    """The curves of every trial of some designs, given as name by design key."""
    trials = loaded.frame.loc[loaded.frame["key"].isin(list(named.values())), "trial"]
    rows = loaded.details(
        trials.astype(int).tolist(), ["key", "rung", "curve_tokens", "curve_loss"]
    )
    parts = []
    for name, key in named.items():
        for row in rows[rows["key"] == key].sort_values("rung").itertuples():
            part = pd.DataFrame({"tokens": row.curve_tokens, "loss": row.curve_loss})
            parts.append(part.assign(line=f"trial {row.trial}", design=name))
    if not parts:
        return pd.DataFrame(columns=["tokens", "loss", "line", "design"])
    curve = pd.concat(parts, ignore_index=True)
    return curve.drop_duplicates(["design", "line", "tokens"], keep="last")

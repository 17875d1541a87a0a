"""parameters: what the axes of the language explain in a run, and what its front has in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype
from rich.table import Table

from attnas.commands.figures import heading, percent, wide_console
from attnas.commands.front import nothing_yet
from attnas.failures import UsageError
from results import Run, find_run, front_report, metric_columns, read_run
from results.design_axes import DesignAxes, axis_words, design_axes
from results.importance import Importance, importances
from results.motifs import motifs, sentence

RUNS = Path("runs")
MOST_MOTIFS = 12
MOST_DESIGNS = 4000


def show_parameters(name: str, metric: str | None, as_json: bool) -> None:
    """Importance of each axis for the objectives, or one metric, and motifs of the front."""
    run = read_run(find_run(name, RUNS))
    report = front_report(run.frame(), run.objectives)
    columns = _columns(run, report, metric)
    axes = _axes(report)
    found = importances(axes, {c: _values(report, axes, c) for c in columns} if len(axes) else {})
    front = np.isin(axes.trials, report.loc[report["on_front"], "trial"])
    table = motifs(axes, front)
    if as_json:
        print(json.dumps(_plain(run, found, table, int(front.sum())), indent=2))
        return
    console = wide_console()
    if report.empty:
        for line in nothing_yet(run):
            console.print(line, soft_wrap=True, markup=False)
        return
    for importance in found:
        console.print(importance.sentence(heading(importance.column)), soft_wrap=True, markup=False)
    if any(importance.claimed for importance in found):
        console.print(_importance_table(found))
    console.print(sentence(table, int(front.sum())), soft_wrap=True, markup=False)
    if len(table):
        console.print(_motif_table(table))


def _columns(run: Run, report: pd.DataFrame, metric: str | None) -> list[str]:
    if metric is None:
        return [o.column for o in run.objectives]
    known = [
        c for c in metric_columns(report) if c != "seeds" and not is_bool_dtype(report[c].dtype)
    ]
    if metric not in known:
        raise UsageError(f"--metric is one of {', '.join(known)}, but got {metric!r}")
    return [metric]


def _axes(report: pd.DataFrame) -> DesignAxes:
    """The axes of the front and of designs evenly over the others."""
    on_front = report["on_front"].to_numpy(dtype=bool)
    rows = np.flatnonzero(~on_front)
    most = max(0, MOST_DESIGNS - int(on_front.sum()))
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
    chosen = report.iloc[np.sort(np.concatenate([np.flatnonzero(on_front), rows]))]
    return design_axes(chosen["trial"].astype(int).tolist(), chosen.get("design", []))


def _values(report: pd.DataFrame, axes: DesignAxes, column: str) -> np.ndarray:
    values = pd.Series(report[column].to_numpy(), index=report["trial"].to_numpy())
    return values.reindex(axes.trials).to_numpy(dtype=np.float64, na_value=np.nan)


def _importance_table(found: list[Importance]) -> Table:
    """A line per axis, a column per metric: share of its variance and the 95% interval."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("axis")
    claimed = [importance for importance in found if importance.claimed]
    for importance in claimed:
        table.add_column(heading(importance.column), justify="right", no_wrap=True)
    names = list(dict.fromkeys(str(a) for i in claimed for a in i.axes["axis"]))
    shares = {i.column: {str(row["axis"]): row for row in _rows(i)} for i in claimed}
    names.sort(key=lambda name: -max(rows[name]["share"] for rows in shares.values()))
    for name in names:
        table.add_row(axis_words(name), *(_share(shares[i.column][name]) for i in claimed))
    return table


def _rows(importance: Importance) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in importance.axes.to_dict("records")]


def _share(row: dict[str, Any]) -> str:
    low, high = max(0.0, row["low"]), min(1.0, row["high"])
    return f"{max(0.0, row['share']):.0%} ({low:.0%} to {high:.0%})"


def _motif_table(motif: pd.DataFrame) -> Table:
    """What differs most between the front and all designs."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    table.add_column("motif", overflow="fold")
    for name in ("on front", "95% interval", "of all"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in motif.head(MOST_MOTIFS).to_dict("records"):
        table.add_row(
            "●" if row["sure"] else "",
            str(row["motif"]),
            percent(row["front"]),
            f"{row['front_low']:.0%} to {row['front_high']:.0%}",
            percent(row["all"]),
        )
    return table


def _plain(run: Run, found: list[Importance], motif: pd.DataFrame, front: int) -> dict[str, object]:
    """The same for programs."""
    return {
        "run": str(run.path),
        "importance": [
            {
                "metric": i.column,
                "designs": i.designs,
                "r2": _number(i.r2),
                "r2_low": _number(i.r2_low),
                "r2_high": _number(i.r2_high),
                "claimed": i.claimed,
                "axes": i.axes.to_dict("records") if i.claimed else [],
            }
            for i in found
        ],
        "front": {"designs": front, "motifs": json.loads(motif.to_json(orient="records"))},
    }


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None

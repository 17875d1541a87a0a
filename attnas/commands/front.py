"""front: the Pareto table with intervals, baselines, and what noise lets one say of it."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table

from attnas.commands.figures import (
    cell,
    heading,
    outcomes,
    percent,
    settings_in_words,
    wide_console,
)
from attnas.commands.front_remarks import first_failures, remarks
from attnas.failures import UsageError
from results import (
    Noise,
    Objective,
    Run,
    RunError,
    UnknownColumnError,
    best,
    by_design,
    distinguishable,
    estimate_noise,
    find_run,
    front_report,
    read_run,
    rows_that_meet,
)
from search_space import Design, in_words

RUNS = Path("runs")


def show_front(name: str, where: str | None, as_json: bool) -> None:
    """The Pareto table of a run."""
    path = find_run(name, RUNS)
    if not as_json:
        print_front(path, where)
        return
    run = read_run(path)
    report = designs_where(run, where)
    keep = report[report["on_front"] | report["within_noise_of_front"].fillna(False)]
    rows = json.loads(keep.to_json(orient="records"))
    for row in rows:
        row["design"] = json.loads(row["design"])
        if row.get("settings") is not None:
            row["settings"] = json.loads(row["settings"])
    print(
        json.dumps(
            {
                "run": str(path),
                "objectives": {o.column: o.direction for o in run.objectives},
                "designs": rows,
            },
            indent=2,
        )
    )


def print_front(path: Path, where: str | None = None) -> None:
    """Front, designs within noise of it, and every preset; then what the figures can't say."""
    run = read_run(path)
    objectives = run.objectives
    report = designs_where(run, where)
    console = wide_console()
    if report.empty:
        for line in nothing_yet(run):
            console.print(line, soft_wrap=True, markup=False)
        return
    noise = estimate_noise(run.frame())
    near = report["within_noise_of_front"].fillna(False).astype(bool)
    preset = report["origin"].str.contains("preset:")
    shown = report[report["on_front"] | near | preset].sort_values(
        [objectives[0].column], ascending=objectives[0].direction == "min"
    )
    console.print(_front_table(shown, near, objectives, noise))
    for line in remarks(run, report, shown, noise):
        console.print(line, soft_wrap=True, markup=False)


def _front_table(
    shown: pd.DataFrame, near: pd.Series, objectives: tuple[Objective, ...], noise: Noise
) -> Table:
    """One line per design; columns that say nothing here are left out."""
    columns = shown_columns(shown, objectives)
    tied = {o.column: _within_noise_of_best(shown, o, noise) for o in objectives}
    twins = {int(row["trial"]): row["same_as"] for _, row in shown.iterrows() if row["same_as"]}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    table.add_column("trial", justify="right")
    table.add_column("design", overflow="fold", min_width=14)
    settings = "settings" in shown
    if settings:
        table.add_column("settings", overflow="fold", min_width=14)
    for column in columns:
        table.add_column(heading(column), justify="right", no_wrap=True)
    sure = shown["front_probability"].notna().any()
    if sure:
        table.add_column("on front", justify="right")
    if twins:
        table.add_column("same as", overflow="fold")
    for index, row in shown.iterrows():
        mark = "◆" if row["knee"] else "●" if row["on_front"] else "~" if near.at[index] else ""
        design = in_words(Design.from_json(row["design"]))
        named = [o.removeprefix("preset:") for o in row["origin"].split(", ") if "preset:" in o]
        same = ", ".join(str(trial) for trial in twins.get(int(row["trial"]), []))
        table.add_row(
            mark,
            str(row["trial"]),
            f"{', '.join(named)}: {design}" if named else design,
            *([settings_in_words(row["settings"])] if settings else []),
            *(
                cell(row, column, noise) + (" ≈" if index in tied.get(column, ()) else "")
                for column in columns
            ),
            *([percent(row["front_probability"])] if sure else []),
            *([same] if twins else []),
        )
    return table


def _within_noise_of_best(shown: pd.DataFrame, objective: Objective, noise: Noise) -> set[Hashable]:
    """Rows that can't be told from the best value shown; none where only equal values can't."""
    rows = dict(shown.iterrows())
    top = rows[best(shown, objective)]
    tied = {i for i, row in rows.items() if distinguishable(row, top, objective, noise) is False}
    values = {rows[index][objective.column] for index in tied}
    return tied if len(values) > 1 else set()


def designs_where(run: Run, where: str | None) -> pd.DataFrame:
    """The front report over the designs that `where` allows; the front is that of what is kept."""
    if where is None:
        return front_report(run.frame(), run.objectives)

    def keep(designs: pd.DataFrame) -> npt.NDArray[np.bool_]:
        try:
            return rows_that_meet(where, designs)
        except UnknownColumnError as error:
            raise UsageError(f"--where: {error}") from error
        except ValueError as error:
            raise UsageError(
                f'--where compares columns with numbers, such as "kv_cache_bytes < 2e6", '
                f"but got {where!r}: {error}"
            ) from error

    if by_design(run.frame(), run.objectives).empty:
        raise RunError(" ".join(nothing_yet(run)))
    report = front_report(run.frame(), run.objectives, keep)
    if report.empty:
        raise RunError(f"no design of {run.path} meets {where!r}")
    return report


def nothing_yet(run: Run) -> list[str]:
    """Why there is no table."""
    frame = run.frame()
    named = ", ".join(o.column for o in run.objectives)
    if not (frame["state"] == "complete").any():
        lines = [f"{run.path} has no complete trial yet"]
    else:
        lines = [
            f"no design of {run.path} that was always feasible has a value for each of {named}"
        ]
    if len(frame):
        lines[0] += ": " + outcomes(frame)
    return lines + first_failures(frame)


def shown_columns(shown: pd.DataFrame, objectives: tuple[Objective, ...]) -> list[str]:
    """The objectives, then decode ratios, cache and parameters where they are not among them.

    Only some designs are measured in every cell; what most of those shown lack has no column.
    """
    columns = [o.column for o in objectives]
    beside = [str(c) for c in shown.columns if re.fullmatch(r"decode_(\d+x)?\d+_ratio", str(c))]
    beside = [column for column in beside if shown[column].notna().mean() > 0.5]
    for column in [*beside, "kv_cache_bytes", "parameters"]:
        if column in shown and column not in columns:
            columns.append(column)
    return columns

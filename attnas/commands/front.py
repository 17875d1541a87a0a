"""front: the Pareto table with intervals, baselines, and what noise lets one say of it."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table

from attnas.commands.figures import cell, failures, settings_in_words
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
    noise_is_known,
    read_run,
    rows_that_meet,
)
from results.noise import is_trained
from search_space import Design, in_words

RUNS = Path("runs")
FEW_RANDOM = 20  # random designs below which nothing is said about search against random


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
    console = _wide_console()
    if report.empty:
        for line in _nothing_yet(run):
            console.print(line, soft_wrap=True, markup=False)
        return
    noise = estimate_noise(run.frame())
    near = report["within_noise_of_front"].fillna(False).astype(bool)
    preset = report["origin"].str.contains("preset:")
    shown = report[report["on_front"] | near | preset].sort_values(
        [objectives[0].column], ascending=objectives[0].direction == "min"
    )
    console.print(_front_table(shown, near, objectives, noise))
    for line in _remarks(run, report, objectives, noise):
        console.print(line, soft_wrap=True, markup=False)


def _front_table(
    shown: pd.DataFrame, near: pd.Series, objectives: tuple[Objective, ...], noise: Noise
) -> Table:
    """One line per design; columns that say nothing here are left out."""
    columns = _columns(shown, objectives)
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
        table.add_column(_heading(column), justify="right", no_wrap=True)
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
        raise RunError(" ".join(_nothing_yet(run)))
    report = front_report(run.frame(), run.objectives, keep)
    if report.empty:
        raise RunError(f"no design of {run.path} meets {where!r}")
    return report


def _nothing_yet(run: Run) -> list[str]:
    """Why there is no table."""
    frame = run.frame()
    named = ", ".join(o.column for o in run.objectives)
    if not (frame["state"] == "complete").any():
        lines = [f"{run.path} has no complete trial yet"]
    else:
        lines = [f"no complete trial of {run.path} has a value for each of {named}"]
    states = frame["state"].value_counts()
    if len(states):
        lines[0] += ": " + ", ".join(f"{n} {state}" for state, n in states.items())
    return lines + _failures(frame)


def _columns(report: pd.DataFrame, objectives: tuple[Objective, ...]) -> list[str]:
    """The objectives, then decode ratios, cache and parameters where they are not among them."""
    columns = [o.column for o in objectives]
    beside = [c for c in report.columns if re.fullmatch(r"decode_\d+_ratio", str(c))]
    for column in [*beside, "kv_cache_bytes", "parameters"]:
        if column in report and column not in columns:
            columns.append(str(column))
    return columns


def _heading(column: str) -> str:
    cell = re.fullmatch(r"(prefill|decode)_(\d+)_ratio", column)
    if cell:
        length = int(cell[2])
        return f"{cell[1]} {length // 1024}k" if length % 1024 == 0 else f"{cell[1]} {length}"
    return {"kv_cache_bytes": "KV cache", "parameters": "params"}.get(column, column)


def _unsettled(frame: pd.DataFrame) -> int:
    """Trials with a note on a latency; notes on other subjects say nothing of it."""
    subjects = (json.loads(notes) for notes in frame["notes"].fillna("{}"))
    return sum(any(f"{name}_ratio" in frame for name in noted) for noted in subjects)


def _remarks(
    run: Run, report: pd.DataFrame, objectives: tuple[Objective, ...], noise: Noise
) -> list[str]:
    """What the marks mean, how the noise is known, what can't be said."""
    lines = [
        "◆ knee of the front, ● on the front, ~ dominated but within noise of the front, "
        "≈ within noise of the column's best; "
        "± is half a 95% interval; prefill and decode are ratios to dense multi-head attention; "
        "a layer is its pattern and query:KV heads."
    ]
    lines += [line for o in objectives if (line := _noise_of(o, report, noise))]
    frame = run.frame()
    if "accuracy_fold_sd" in frame:
        spread = frame["accuracy_fold_sd"].median()
        lines.append(
            f"Folds: accuracy varies by {spread:.3f} between the held-out shares of one trial "
            f"(standard deviation, the median over trials); each is a mean over its folds."
        )
    if unsettled := _unsettled(frame):
        lines.append(f"{unsettled} of {len(frame)} trials have a latency that did not settle.")
    lines += _failures(frame)
    designs = by_design(frame, objectives)
    if len(report) < len(designs):
        lines.append(f"{len(report)} of {len(designs)} designs are kept; the front is theirs.")
    origins = [origin.split(", ") for origin in designs["origin"]]
    random = sum("random" in each for each in origins)
    searched = any(part.startswith(("strategy:", "random")) for each in origins for part in each)
    if searched and random < FEW_RANDOM:
        lines.append(
            f"{len(designs)} designs, {random} of them random, prove nothing about the search "
            f"against random sampling."
        )
    return lines


def _failures(frame: pd.DataFrame) -> list[str]:
    return [f"One trial was {state}: {reason}" for _, state, reason in failures(frame)[:3]]


def _noise_of(objective: Objective, report: pd.DataFrame, noise: Noise) -> str | None:
    """How the noise of a trained objective is known, or that an objective's noise is not."""
    column = objective.column
    if column in noise.seed_sd:
        sd, degrees = noise.seed_sd[column]
        return (
            f"Seeds: {column} varies by {sd:.3f} (standard deviation, {degrees} degrees of "
            f"freedom, from designs trained under more than one seed)."
        )
    if noise_is_known(report, objective, noise):
        return None
    unknown = f"the noise of {column} is unknown, so no difference in it is marked."
    if is_trained(column):
        return f"No design was trained under two seeds: {unknown}"
    return unknown[0].upper() + unknown[1:]


def _wide_console() -> Console:
    """The terminal, or lines long enough for a table where there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=132)

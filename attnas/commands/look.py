"""status, front and show: a run in tables, whether its driver is alive, dead or done."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from attnas.failures import UsageError
from results import (
    Noise,
    Objective,
    Run,
    RunError,
    estimate_noise,
    find_run,
    front_report,
    interval,
    read_run,
)
from results.schema import FIXED_COLUMNS
from search_space import Design, in_words

RUNS = Path("runs")
SILENT_S = 15.0  # a driver that has not beaten for this long is dead or stuck
FEW_RANDOM = 20  # random designs below which nothing is said about search against random


def show_status(name: str, as_json: bool) -> None:
    """State, progress and outcomes."""
    run = read_run(find_run(name, RUNS))
    frame, status = run.frame(), dict(run.status or {})
    states = {str(s): int(n) for s, n in frame["state"].value_counts().items()}
    summary = {
        "run": str(run.path),
        "state": driver_state(status),
        "trials": {"done": int(frame["trial"].nunique()), "budget": status.get("trials_budget")},
        "states": states,
        "pending": [ask.trial for ask in run.pending],
        "objectives": {o.column: o.direction for o in run.objectives},
        "elapsed_s": status.get("elapsed_s"),
    }
    if as_json:
        print(json.dumps(summary, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{run.path}: {summary['state']}")
    outcomes = ", ".join(f"{n} {state}" for state, n in states.items()) or "no results yet"
    console.print(
        f"{summary['trials']['done']} of {summary['trials']['budget']} trials: {outcomes}"
    )
    for trial, state, reason in _failures(frame):
        console.print(f"  trial {trial} {state}: {reason}", markup=False)
    if summary["state"] in ("stopped", "silent"):
        console.print(f"go on with: attnas resume {run.path}")


def driver_state(status: dict[str, Any]) -> str:
    """What the driver was doing at its last heartbeat, or that it fell silent."""
    state = str(status.get("state", "silent"))
    if state in ("finished", "stopped"):
        return state
    return "silent" if time.time() - float(status.get("at", 0)) > SILENT_S else state


def show_front(name: str, where: str | None, as_json: bool) -> None:
    """The Pareto table of a run."""
    path = find_run(name, RUNS)
    if not as_json:
        print_front(path, where)
        return
    run = read_run(path)
    report = _designs(run, where)
    keep = report[report["on_front"] | report["within_noise_of_front"].fillna(False)]
    rows = json.loads(keep.to_json(orient="records"))
    for row in rows:
        row["design"] = json.loads(row["design"])
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
    report = _designs(run, where)
    console = _wide_console()
    if report.empty:
        console.print(f"{path} has no complete trial yet")
        return
    noise = estimate_noise(run.frame())
    near = report["within_noise_of_front"].fillna(False).astype(bool)
    preset = report["origin"].str.contains("preset:")
    shown = report[report["on_front"] | near | preset].sort_values(
        [objectives[0].column], ascending=objectives[0].direction == "min"
    )
    console.print(_front_table(shown, near, _columns(report, objectives), noise))
    for line in _remarks(run, report, objectives, noise):
        console.print(line, soft_wrap=True)


def _front_table(shown: pd.DataFrame, near: pd.Series, columns: list[str], noise: Noise) -> Table:
    """One line per design; columns that say nothing here are left out."""
    twins = {int(row["trial"]): row["same_as"] for _, row in shown.iterrows() if row["same_as"]}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    table.add_column("trial", justify="right")
    table.add_column("design", overflow="fold", min_width=14)
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
            *(_cell(row, column, noise) for column in columns),
            *([same] if twins else []),
        )
    return table


def show_trial(name: str, trial: int, as_json: bool) -> None:
    """One trial: outcome, layers, figures with intervals."""
    run = read_run(find_run(name, RUNS))
    frame = run.frame()
    rows = frame[frame["trial"] == trial]
    if rows.empty:
        last = int(frame["trial"].max()) if len(frame) else None
        have = f"trials 0 to {last}" if last is not None else "no trials yet"
        raise UsageError(f"{run.path} has no result of trial {trial}; it has {have}")
    row = rows.iloc[-1]
    design = Design.from_json(row["design"])
    metrics = {c: float(row[c]) for c in _metric_columns(frame) if pd.notna(row[c])}
    if as_json:
        plain = {
            "trial": trial,
            "state": row["state"],
            "reason": row["reason"] if pd.notna(row["reason"]) else None,
            "origin": row["origin"],
            "seed": int(row["seed"]),
            "metrics": metrics,
            "design": json.loads(row["design"]),
        }
        print(json.dumps(plain, indent=2))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    reason = f": {row['reason']}" if pd.notna(row["reason"]) else ""
    console.print(f"trial {trial} of {run.path}, {row['origin']}, {row['state']}{reason}")
    console.print(f"width {design.width}, {design.depth} layers, context {design.context}")
    for index, layer in enumerate(design.layers):
        console.print(f"  layer {index + 1}: {layer.describe()}")
    noise = estimate_noise(frame)
    counted = row.copy()
    counted["seeds"] = 1
    for column in metrics:
        if not column.endswith(("_low", "_high")):
            console.print(f"{column:>24}  {_cell(counted, column, noise)}")
    for subject, note in json.loads(row["notes"] or "{}").items():
        console.print(f"note: {subject} {note}")


def _designs(run: Run, where: str | None) -> pd.DataFrame:
    """The front report over the rows that `where` allows; the front is that of what is kept."""
    frame = run.frame()
    if where is not None:
        if not re.fullmatch(r"[\w\s.<>=!&|()+*/-]+", where) or "__" in where:
            raise UsageError(
                f'--where compares columns with numbers, such as "kv_cache_bytes < 2e6", '
                f"but got {where!r}"
            )
        try:
            frame = frame.query(where)
        except Exception as error:
            names = ", ".join(_metric_columns(frame))
            reason = str(error).splitlines()[0]
            raise UsageError(f"--where {where!r}: {reason}; the columns are {names}") from error
    if not (frame["state"] == "complete").any():
        if where is not None:
            raise RunError(f"no complete trial of {run.path} meets {where!r}")
        return pd.DataFrame()
    return front_report(frame, run.objectives)


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


def _cell(row: pd.Series, column: str, noise: Noise) -> str:
    """A value with its 95% interval, in sensible digits."""
    value = row[column]
    if pd.isna(value):
        return "-"
    if "bytes" in column:
        return _bytes(float(value))
    if float(value).is_integer() and abs(value) >= 10:
        return _count(float(value))
    bounds = interval(row, column, noise)
    if bounds is None or bounds[0] == bounds[1]:
        return f"{value:.3f}"
    return f"{value:.3f} ±{(bounds[1] - bounds[0]) / 2:.2f}"


def _count(value: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.0f}"


def _bytes(value: float) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.0f} B"


def _remarks(
    run: Run, report: pd.DataFrame, objectives: tuple[Objective, ...], noise: Noise
) -> list[str]:
    """What the marks mean, how the noise is known, what can't be said."""
    lines = [
        "◆ knee of the front, ● on the front, ~ dominated but within noise of the front; "
        "± is half a 95% interval; prefill and decode are ratios to dense multi-head attention; "
        "a layer is its pattern and query:KV heads."
    ]
    trained = [o.column for o in objectives if o.column in noise.seed_sd]
    if trained:
        sd, degrees = noise.seed_sd[trained[0]]
        lines.append(
            f"Seeds: {trained[0]} varies by {sd:.3f} (standard deviation, {degrees} degrees of "
            f"freedom, from designs trained under more than one seed)."
        )
    else:
        lines.append("No design was trained under two seeds, so the noise of accuracy is unknown.")
    frame = run.frame()
    unsettled = int((frame["notes"].fillna("{}") != "{}").sum())
    if unsettled:
        lines.append(f"{unsettled} of {len(frame)} trials have a latency that did not settle.")
    for _, state, reason in _failures(frame)[:3]:
        lines.append(f"One trial was {state}: {reason}")
    random = int(report["origin"].str.split(", ").map(lambda origins: "random" in origins).sum())
    if random < FEW_RANDOM:
        lines.append(
            f"{len(report)} designs, {random} of them random, prove nothing about the search "
            f"against random sampling."
        )
    return lines


def _wide_console() -> Console:
    """The terminal, or lines long enough for a table where there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=132)


def _failures(frame: pd.DataFrame) -> list[tuple[int, str, str]]:
    bad = frame[frame["state"] != "complete"]
    return [(int(row["trial"]), str(row["state"]), str(row["reason"])) for _, row in bad.iterrows()]


def _metric_columns(frame: pd.DataFrame) -> list[str]:
    return [str(c) for c in frame.columns if c not in FIXED_COLUMNS]

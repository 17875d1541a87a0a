"""status and show: where a run stands, and one of its designs in words and figures."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from attnas.commands.figures import (
    cell,
    failures,
    metric_columns,
    outcomes,
    settings_in_words,
)
from attnas.failures import UsageError
from results import estimate_noise, find_run, interpret, is_companion, read_run
from results.mirror_state import mirror_state
from results.object_store import is_address
from results.outcomes import given_back
from search_space import Design

RUNS = Path("runs")


def show_status(name: str, as_json: bool) -> None:
    """State, progress and outcomes."""
    run = read_run(find_run(name, RUNS))
    place = name if is_address(name) else str(run.path)
    frame, beat = run.frame(), interpret(run.status, time.time())
    states = {str(s): int(n) for s, n in frame["state"].value_counts().items()}
    ended = frame[(frame["state"] != "passed") & ~given_back(frame)]
    summary = {
        "run": place,
        "state": beat.phase if beat.live else beat.state,
        "trials": {"done": int(ended["trial"].nunique()), "budget": beat.trials_budget},
        "states": states,
        "pending": [ask.trial for ask in run.pending],
        "objectives": {o.column: o.direction for o in run.objectives},
        "elapsed_s": beat.elapsed_s,
    }
    if mirror := mirror_state(run.path):
        summary["storage"] = mirror
    if as_json:
        print(json.dumps(summary, indent=2))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    gone = ", its driver is gone" if beat.state == "silent" else ""
    console.print(f"{place}: {summary['state']}{gone}")
    of = "" if beat.trials_budget is None else f" of {beat.trials_budget}"
    console.print(f"{summary['trials']['done']}{of} trials: {outcomes(frame) or 'no results yet'}")
    for trial, state, reason in failures(frame):
        console.print(f"  trial {trial} {state}: {reason}")
    if beat.state in ("stopped", "silent", "unknown") and "pruning" not in run.provenance:
        console.print(f"go on with: attnas resume {place}")
    if mirror:
        console.print(_in_the_store(mirror))


def _in_the_store(mirror: dict[str, Any]) -> str:
    """Where the run is pushed to, and how far that is."""
    at, problem = mirror.get("pushed_at"), mirror.get("problem")
    when = "nothing yet" if at is None else f"as of {time.strftime('%F %T', time.localtime(at))}"
    return f"in {mirror.get('address')}: {when}" + (f"; {problem}" if problem else "")


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
    metrics = {c: float(row[c]) for c in metric_columns(frame) if pd.notna(row[c])}
    if as_json:
        plain = {
            "trial": trial,
            "state": row["state"],
            "reason": row["reason"] if pd.notna(row["reason"]) else None,
            "origin": row["origin"],
            "seed": int(row["seed"]),
            "metrics": metrics,
            "design": json.loads(row["design"]),
            "settings": json.loads(row["settings"]) if pd.notna(row["settings"]) else None,
        }
        print(json.dumps(plain, indent=2))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    reason = f": {row['reason']}" if pd.notna(row["reason"]) else ""
    console.print(f"trial {trial} of {run.path}, {row['origin']}, {row['state']}{reason}")
    console.print(f"width {design.width}, {design.depth} layers, context {design.context}")
    if settings := settings_in_words(row["settings"]):
        console.print(f"settings: {settings}")
    for index, layer in enumerate(design.layers):
        console.print(f"  layer {index + 1}: {layer.describe()}")
    noise = estimate_noise(frame)
    counted = row.copy()
    counted["seeds"] = 1
    for column in metrics:
        if not is_companion(column):
            console.print(f"{column:>24}  {cell(counted, column, noise, absolute=True)}")
    for subject, note in json.loads(row["notes"] or "{}").items():
        console.print(f"note: {subject} {note}")

"""compare: designs of a run side by side, each metric with its noise and who is best in it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from attnas.commands.figures import cell, heading, settings_in_words, wide_console
from attnas.failures import UsageError
from results import Noise, estimate_noise, find_run, front_report, read_run
from results.differing import difference_in_words
from results.side_by_side import (
    MARKS,
    Line,
    caveats,
    chosen_designs,
    chosen_rows,
    lines,
    provenance,
    telling,
)
from search_space import Design, in_words

RUNS = Path("runs")
FEWEST, MOST = 2, 8


def compare_trials(name: str, trials: list[int], every: bool, as_json: bool) -> None:
    """A table of metrics with a column per design; without `every` only what tells them apart."""
    if not FEWEST <= len(trials) <= MOST or len(set(trials)) < len(trials):
        raise UsageError(
            f"compare takes {FEWEST} to {MOST} trials, each once, but got "
            f"{', '.join(map(str, trials)) or 'none'}"
        )
    run = read_run(find_run(name, RUNS))
    frame = run.frame()
    rows = chosen_rows(frame, trials)
    if missing := sorted(set(trials) - set(rows["trial"].astype(int))):
        last = f"trials 0 to {int(frame['trial'].max())}" if len(frame) else "no trials yet"
        raise UsageError(
            f"{run.path} has no result of trial {', '.join(map(str, missing))}; it has {last}"
        )
    noise = estimate_noise(frame)
    designs = chosen_designs(front_report(frame, run.objectives), rows)
    found = lines(designs, run.objectives, noise)
    shown = found if every else telling(found)
    if as_json:
        print(json.dumps(_plain(str(run.path), rows, shown), indent=2))
        return
    _print(str(run.path), trials, rows, designs, (shown, len(found) - len(shown)), noise, every)


def _print(
    place: str,
    trials: list[int],
    rows: pd.DataFrame,
    designs: pd.DataFrame,
    found: tuple[list[Line], int],
    noise: Noise,
    every: bool,
) -> None:
    shown, hidden = found
    console = wide_console()
    console.print(f"{len(trials)} designs of {place}", soft_wrap=True, markup=False)
    texts = [Design.from_json(text) for text in rows["design"]]
    for (_, row), design in zip(rows.iterrows(), texts, strict=True):
        console.print(f"  trial {_named(row)}: {in_words(design)}", soft_wrap=True, markup=False)
    for trial, design in zip(trials[1:], texts[1:], strict=True):
        words = f"trial {trial} {difference_in_words(design, texts[0])} (from trial {trials[0]})"
        console.print(words, soft_wrap=True, markup=False)
    names = [f"trial {trial}" for trial in trials]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for line in shown:
        values = (
            cell(row, line.column, noise) + MARKS[each.mark]
            for (_, row), each in zip(designs.iterrows(), line.cells, strict=True)
        )
        table.add_row(heading(line.column), *values, line.in_words(names))
    for _, subject in provenance(rows).iterrows():
        if subject["differs"] or every:
            values = (Text(str(subject[str(i)])[:20]) for i in range(len(trials)))
            table.add_row(str(subject["subject"]), *values, "")
    console.print(table)
    if hidden:
        console.print(
            f"{hidden} metrics are equal or within noise; --all shows them", soft_wrap=True
        )
    for sentence in caveats(rows):
        console.print(f"! {sentence}", soft_wrap=True, markup=False)


def _named(row: pd.Series) -> str:
    """`12 (preset:mha, failed)`, with its settings."""
    state = "" if row["state"] == "complete" else f", {row['state']}"
    settings = settings_in_words(row.get("settings"))
    return f"{int(row['trial'])} ({row['origin']}{state}{', ' if settings else ''}{settings})"


def _plain(place: str, rows: pd.DataFrame, shown: list[Line]) -> dict[str, Any]:
    """For programs: NaN is no JSON, so what is unknown is null."""
    trials = [int(trial) for trial in rows["trial"]]
    metrics = []
    for line in shown:
        cells = [
            {"trial": trial}
            | {k: v if isinstance(v, str) or np.isfinite(v) else None for k, v in part.items()}
            for trial, part in zip(trials, map(asdict, line.cells), strict=True)
        ]
        metrics.append(
            {
                "metric": line.column,
                "direction": line.direction,
                "objective": line.is_objective,
                "verdict": line.verdict,
                "designs": cells,
            }
        )
    subjects = provenance(rows)
    return {
        "run": place,
        "trials": [
            {"trial": trial, "design": json.loads(text)}
            for trial, text in zip(trials, rows["design"], strict=True)
        ],
        "metrics": metrics,
        "provenance": {
            str(row["subject"]): [str(row[str(i)]) for i in range(len(trials))]
            for _, row in subjects.iterrows()
        },
        "caveats": caveats(rows),
    }

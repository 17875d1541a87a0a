"""Runs compared: several runs as the frames that the Compare page's tables and charts show."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dashboard.frames.candidates import figures_of
from dashboard.frames.quantities import Quantity, digits, quantity
from dashboard.loading import Loaded
from results import Objective
from results.design_axes import lower_words
from results.several_runs import Standing, best_of, common_objectives, hypervolumes

MOST = 8
NAMELESS = ""
MOST_POINTS = 600  # of each run's front that are drawn
WHERE = ("device", "threads", "dtype", "torch", "kernels", "data")


def standing_of(loaded: Loaded, name: str) -> Standing:
    """A run as it is compared."""
    return Standing(name, loaded.run.objectives, loaded.frame, loaded.report, loaded.noise)


def run_sheet(runs: Sequence[Standing]) -> pd.DataFrame:
    """A row per figure, a column per run; the figures' names are in the column without a name."""
    shares = hypervolumes(runs)
    objectives = list(dict.fromkeys(o for run in runs for o in run.objectives))
    rows = [
        ("Trials", [f"{len(run.frame):,}" for run in runs]),
        ("Complete", [f"{run.complete:,}" for run in runs]),
        ("Designs", [f"{len(run.report):,}" for run in runs]),
        ("On the front", [f"{len(run.front):,}" for run in runs]),
        ("Hypervolume", ["not comparable" if s is None else f"{s:.1%}" for s in shares]),
        ("Knee", [_knee(run) for run in runs]),
    ]
    for o in objectives:
        title = quantity(o.column, runs[0].report, objectives).title
        rows.append((f"Best {lower_words(title)}", [_best(run, o) for run in runs]))
    columns = [NAMELESS, *(run.name for run in runs)]  # any word may be a run's name
    return pd.DataFrame([(name, *values) for name, values in rows], columns=columns)


def best_table(runs: Sequence[Standing], objective: Objective) -> tuple[pd.DataFrame, Quantity]:
    """The best of each run in an objective, as its chart takes it, and its quantity."""
    found = [best_of(run, objective) for run in runs]
    values = pd.DataFrame({objective.column: [b.value for b in found if b]})
    q = quantity(objective.column, values, [objective])
    rows = []
    for run, each in zip(runs, found, strict=True):
        if each is None:
            continue
        bounds = (each.low, each.high) if each.low < each.high else None
        low, high = bounds or (float("nan"), float("nan"))
        scaled = (value / q.scale for value in (each.value, low, high))
        text = f"trial {each.trial}: {q.text(each.value, bounds)}"
        rows.append((run.name, *scaled, text, digits(each.value / q.scale)))
    columns = ["design", "value", "low", "high", "text", "short"]
    return pd.DataFrame(rows, columns=columns), q


def fronts_table(runs: Sequence[Standing]) -> tuple[pd.DataFrame, str, str] | None:
    """Every run's front in the first two common objectives, and what the axes are called."""
    objectives = common_objectives(runs)
    if not objectives:
        return None
    y, x = objectives[:2]
    fronts = [run.front.head(MOST_POINTS).assign(run=run.name) for run in runs]
    table = pd.concat(fronts, ignore_index=True)
    if table.empty:
        return None
    qx, qy = (quantity(o.column, table, objectives) for o in (x, y))
    frame = pd.DataFrame(
        {
            "design": table["run"],
            "trial": table["trial"].astype(int),
            "x": qx.scaled(table[x.column]),
            "y": qy.scaled(table[y.column]),
            "text": [
                f"{qy.title} {qy.text(float(b))}, {qx.title} {qx.text(float(a))}"
                for a, b in zip(table[x.column], table[y.column], strict=True)
            ],
        }
    )
    return frame, qx.axis, qy.axis


def kinds_of_rows(runs: Sequence[Standing]) -> pd.DataFrame:
    """What the runs' trials ran on, each kind once."""
    parts = [run.frame[[c for c in WHERE if c in run.frame]].drop_duplicates() for run in runs]
    return pd.concat(parts, ignore_index=True)


def _knee(run: Standing) -> str:
    found = run.report[run.report["knee"].astype(bool)]
    if found.empty:
        return "none yet"
    known = [quantity(o.column, run.report, run.objectives) for o in run.objectives]
    return f"trial {int(found.iloc[0]['trial'])}: {figures_of(found.iloc[0], known)}"


def _best(run: Standing, objective: Objective) -> str:
    if objective not in run.objectives:
        return "no objective of it"
    found = best_of(run, objective)
    if found is None:
        return "none yet"
    values = pd.DataFrame({objective.column: [found.value]})
    q = quantity(objective.column, values, run.objectives)
    bounds = (found.low, found.high) if found.low < found.high else None
    return f"trial {found.trial}: {q.text(found.value, bounds)}"

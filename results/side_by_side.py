"""Side by side: some designs of one run metric by metric, and what noise lets one say of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from results.columns import is_companion, metric_columns
from results.intervals import differ, estimates
from results.noise import Noise
from results.objectives import Direction, Objective

Verdict = Literal["different", "within noise", "equal", "unknown", "incomplete"]
Mark = Literal["", "best", "near"]  # near: within noise of the best, or equal to it

SAID = {"incomplete": "not known of all", "unknown": "noise unknown", "different": "differs"}
MARKS: dict[Mark, str] = {"": "", "best": " ★", "near": " ≈"}
HIGHER_IS_BETTER = frozenset({"accuracy", "right", "score", "bleu", "chrf"})
ONE_SEED = pd.Series({"seeds": 1})
NOT_METRICS = frozenset({"seeds", "front_probability"})


@dataclass(frozen=True, slots=True)
class Cell:
    """One design's value with its 95% interval, NaN where there is none."""

    value: float
    low: float
    high: float
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of several designs, in their order.

    `verdict` is of all pairs: equal values, none that differ by more than noise, some that do,
    different values of unknown noise, or values that some designs lack.
    """

    column: str
    direction: Direction
    is_objective: bool
    cells: tuple[Cell, ...]
    verdict: Verdict

    @property
    def differs(self) -> bool:
        """Whether it may tell the designs apart."""
        return self.verdict not in ("equal", "within noise")

    def in_words(self, names: Sequence[str]) -> str:
        """What the metric says of designs called `names`."""
        best = [n for n, c in zip(names, self.cells, strict=True) if c.mark == "best"]
        near = [n for n, c in zip(names, self.cells, strict=True) if c.mark == "near"]
        if best:
            return f"{best[0]} is best"
        if near:
            return f"best within noise: {', '.join(near)}"
        return SAID.get(self.verdict, self.verdict)


def chosen_rows(frame: pd.DataFrame, trials: Sequence[int]) -> pd.DataFrame:
    """The last row of each trial of a run's frame, in this order; unknown trials are left out."""
    rows = frame[frame["trial"].isin(list(trials))].drop_duplicates("trial", keep="last")
    order = {trial: place for place, trial in enumerate(trials)}
    return rows.sort_values("trial", key=lambda found: found.map(order), ignore_index=True)


def chosen_designs(report: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The report's row of each trial's design, seeds taken together, for rows of the frame.

    A trial without one (it failed, or it lacks an objective) keeps what it has, of one seed.
    """
    known = report[report["key"].isin(rows["key"])].set_index("key")
    found = [
        known.loc[row["key"]] if row["key"] in known.index else pd.concat([row, ONE_SEED])
        for _, row in rows.iterrows()
    ]
    metrics = metric_columns(report)
    columns = [c for c in metrics if not pd.api.types.is_bool_dtype(report[c])] + ["seeds"]
    columns += [c for c in report.columns if is_companion(str(c)) and c not in columns]
    table = {c: [_number(row.get(c)) for row in found] for c in dict.fromkeys(columns)}
    return pd.DataFrame(table)


def lines(
    designs: pd.DataFrame,
    objectives: Sequence[Objective],
    noise: Noise,
    columns: Sequence[str] | None = None,
) -> list[Line]:
    """The metrics of some rows of `by_design`, the objectives first.

    A trial that is not complete may be among them, with `seeds` 1 and what it has of metrics.
    """
    named = [o.column for o in objectives]
    columns = metric_columns(designs) if columns is None else columns
    others = [c for c in columns if c not in named and c not in NOT_METRICS]
    others.sort(key=lambda c: (c.endswith("_ms"), not c.endswith("_ratio")))  # ratios travel
    wanted = [c for c in (*named, *others) if c in designs and designs[c].notna().any()]
    return [_line(designs, column, objectives, noise) for column in wanted]


def telling(found: Sequence[Line]) -> list[Line]:
    """The objectives, and what else may tell the designs apart."""
    return [line for line in found if line.is_objective or line.differs]


def direction_of(column: str, objectives: Sequence[Objective]) -> Direction:
    """Which way a metric is better: as the search has it, else by its name."""
    known: dict[str, Direction] = {o.column: o.direction for o in objectives}
    guess: Direction = "max" if HIGHER_IS_BETTER & set(column.split("_")) else "min"
    return known.get(column, guess)


def _line(
    designs: pd.DataFrame, column: str, objectives: Sequence[Objective], noise: Noise
) -> Line:
    direction = direction_of(column, objectives)
    values = designs[column].to_numpy(dtype=np.float64, na_value=np.nan)
    found = estimates(designs, column, noise)
    low, high = found.low, found.high
    if found.is_log:
        low, high = np.exp(low), np.exp(high)
    rows = np.flatnonzero(np.isfinite(values)).tolist()
    pairs = [(i, j, *differ(found.at([i]), found.at([j]))) for i in rows for j in rows if i < j]
    different = {(i, j) for i, j, is_different, _ in pairs if is_different[0]}
    unknown = {(i, j) for i, j, _, known in pairs if not known[0] and values[i] != values[j]}
    marks = _marks(values, rows, direction, different, bool(unknown))
    verdict: Verdict = "within noise"
    if different:
        verdict = "different"
    elif len(rows) < len(values):
        verdict = "incomplete"
    elif len(set(values.tolist())) == 1:
        verdict = "equal"
    elif unknown:
        verdict = "unknown"
    cells = zip(values.tolist(), low.tolist(), high.tolist(), marks, strict=True)
    is_objective = any(o.column == column for o in objectives)
    return Line(column, direction, is_objective, tuple(Cell(*cell) for cell in cells), verdict)


def _marks(
    values: npt.NDArray[np.float64],
    rows: Sequence[int],
    direction: Direction,
    different: set[tuple[int, int]],
    is_unknown: bool,
) -> list[Mark]:
    """The best alone, or with all that noise does not tell from it; none where nothing differs."""
    marks: list[Mark] = [""] * len(values)
    if is_unknown or not different:
        return marks
    pick = max if direction == "max" else min
    top = pick(rows, key=lambda i: float(values[i]))
    near = [i for i in rows if i != top and (min(i, top), max(i, top)) not in different]
    for row in [top, *near]:
        marks[row] = "near" if near else "best"
    return marks


# What a trial ran on and how, and what does not compare where it differs.
SPEED = {
    "device": "device",
    "threads": "number of threads",
    "dtype": "data type",
    "torch": "version of torch",
    "kernels": "kernels",
}
MOST_LETTERS = 80
ORIGIN = ("state", "origin", "seed", "worker", *SPEED, "data")


def provenance(rows: pd.DataFrame) -> pd.DataFrame:
    """Where trials come from, a row per subject in words and a column per trial; `differs` last.

    `rows` are rows of a run's frame in the order of the columns.
    """
    subjects = [c for c in ORIGIN if c in rows]
    table = [[_plain(value)[:MOST_LETTERS] for value in rows[subject]] for subject in subjects]
    return pd.DataFrame(
        {"subject": subjects}
        | {str(i): [values[i] for values in table] for i in range(len(rows))}
        | {"differs": [len(set(values)) > 1 for values in table]}
    )


def caveats(rows: pd.DataFrame) -> list[str]:
    """Why figures of these rows of frames do not compare, a sentence each; none where they do."""
    known = [c for c in (*SPEED, "data") if c in rows]
    several = {c for c in known if rows[c].dropna().astype(str).nunique() > 1}
    speed = [SPEED[c] for c in SPEED if c in several]
    found = []
    if speed:
        found.append(
            f"Latencies are not comparable: the {_joined(speed)} "
            f"{'differ' if len(speed) > 1 else 'differs'}."
        )
    if "data" in several:
        found.append("Accuracies are not comparable: the task's data differ.")
    return found


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _number(value: object) -> float:
    """A value of a frame as a number, NaN where there is none."""
    return float("nan") if pd.isna(value) else float(value)  # pyright: ignore


def _plain(value: object) -> str:
    """A value of a frame as text; none is no text."""
    return "" if value is None or value is pd.NA or value != value else str(value)

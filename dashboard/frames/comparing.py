"""Comparing: several designs of a run as the frames that tables and charts are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from dashboard.frames.origins import preset_name
from dashboard.frames.quantities import SIZED, Quantity, digits, quantity, timed_title
from dashboard.frames.trials import metric_columns
from dashboard.loading import Loaded
from results import differences
from results.side_by_side import MARKS, Line

MOST_LETTERS = 400  # of a note
MOST = 8  # designs that colours and shapes still tell apart


def spelled_name(loaded: Loaded, trial: int) -> str:
    """`trial 12 (knee)`, `trial 0 (mha)`: what a design is called in charts and tables."""
    row, design = loaded.row_of(trial), loaded.design_of(trial)
    preset = "" if row is None else preset_name(str(row["origin"]))[:24]
    is_knee = design is not None and bool(design["knee"])
    words = [word for word in (preset, "knee" if is_knee else "") if word]
    return f"trial {trial}" + (f" ({', '.join(words)})" if words else "")


def shortened(name: str) -> str:
    """`trial 12`, where there is little room."""
    return name.split(" (")[0]


def latency_ratios(loaded: Loaded, named: Mapping[str, int]) -> pd.DataFrame:
    """Measured times of some trials' designs as ratios to the reference, with intervals.

    Columns design, what (`Prefill 2,048`), phase (`Prefill`, `Decode 8 ×`), length (NaN where a
    phase has none), ratio, low, high, text.
    """
    sized = [(c, m) for c in metric_columns(loaded.frame) if (m := SIZED.match(c))]
    sized = [(c, m) for c, m in sized if m["unit"] == "ratio" and not c.startswith("predicted_")]
    rows = []
    for name, trial in named.items():
        row = loaded.design_of(trial)
        row = loaded.row_of(trial) if row is None else row
        for column, match in sized:
            if row is None or pd.isna(row.get(column)):
                continue
            value, low, high = (
                float(row.get(f"{column}{end}", "nan")) for end in ("", "_low", "_high")
            )
            known = low == low and high == high
            text = f"{value:.2f}" + (f" ({low:.2f} to {high:.2f})" if known else "")
            what = timed_title(match)
            length = float(match["tokens"] or "nan")
            phase = what if not match["tokens"] else what.removesuffix(f" {int(length):,}")
            rows.append((name, what, phase, length, value, low, high, text))
    columns = ["design", "what", "phase", "length", "ratio", "low", "high", "text"]
    found = pd.DataFrame(rows, columns=columns)
    return found.sort_values(["phase", "length"], kind="stable", ignore_index=True)


def by_length(ratios: pd.DataFrame) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The phases that were measured at several lengths, and the ratios of all others."""
    counts = ratios.groupby("phase")["length"].nunique()
    several = [phase for phase in dict.fromkeys(ratios["phase"]) if counts[phase] > 1]
    rest = ratios[~ratios["phase"].isin(several)]
    return {p: ratios[ratios["phase"] == p] for p in several}, rest.reset_index(drop=True)


def objective_differences(loaded: Loaded, trial: int, other: int) -> pd.DataFrame:
    """Both values of each objective, the difference with its interval, and the verdict."""
    a, b = loaded.design_of(trial), loaded.design_of(other)
    columns = ["Objective", "This design", "Compared with", "Difference", "95% interval", "Verdict"]
    if a is None or b is None:
        return pd.DataFrame(columns=columns)
    rows = []
    for each in differences(a, b, loaded.run.objectives, loaded.noise):
        column = each.objective.column
        q = quantity(column, pd.DataFrame([a[[column]], b[[column]]]), loaded.run.objectives)
        exact = each.low == each.high
        places, sign = (2, "") if each.is_factor else (3, "+")
        text = f"× {each.value:.2f}" if each.is_factor else f"{each.value:+.3f}"
        bounds = f"{each.low:{sign}.{places}f} to {each.high:{sign}.{places}f}"
        verdict = "noise unknown" if each.verdict == "unknown" else each.verdict
        if exact and each.value == 1:
            verdict = "equal"
        rows.append(
            (
                q.title,
                q.text(float(a[column])),
                q.text(float(b[column])),
                text,
                "unknown" if each.verdict == "unknown" else "exact" if exact else bounds,
                verdict,
            )
        )
    return pd.DataFrame(rows, columns=columns)


def metric_sheet(
    found: Sequence[Line], names: Sequence[str], loaded: Loaded
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lines as a table of texts, a column per design; and beside it the mark of each cell."""
    rows, marks = [], []
    for line in found:
        q = quantity_of(line, loaded)
        texts = [_text(line, i, q) for i in range(len(names))]
        title = f"{q.title}, time" if line.column.endswith("_ms") else q.title
        said = line.in_words([shortened(name).removeprefix("trial ") for name in names])
        said = said.replace("within noise: ", "within noise: trials ")
        said = f"trial {said}" if said.endswith("is best") else said
        rows.append([title, said[:1].upper() + said[1:], *texts])
        marks.append(["", "", *(cell.mark for cell in line.cells)])
    columns = ["Metric", "Verdict", *names]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(marks, columns=columns)


def interval_table(line: Line, names: Sequence[str], loaded: Loaded) -> pd.DataFrame:
    """One line as the frame of its chart, in the unit of its quantity."""
    q = quantity_of(line, loaded)
    rows = []
    for i, (name, cell) in enumerate(zip(names, line.cells, strict=True)):
        wide = cell.low < cell.high
        low, high = (cell.low, cell.high) if wide else (float("nan"), float("nan"))
        text = _text(line, i, q)
        scaled = (value / q.scale for value in (cell.value, low, high))
        rows.append((shortened(name), *scaled, text, digits(cell.value / q.scale)))
    return pd.DataFrame(rows, columns=["design", "value", "low", "high", "text", "short"])


def quantity_of(line: Line, loaded: Loaded) -> Quantity:
    """The line's quantity, its unit fitting these values."""
    values = pd.DataFrame({line.column: [cell.value for cell in line.cells]})
    return quantity(line.column, values, loaded.run.objectives)


def notes(loaded: Loaded, trial: int) -> dict[str, str]:
    """What was noted of a trial, by subject; it is on disk until it is looked at."""
    rows = loaded.details([trial], ["notes"])
    texts = [] if "notes" not in rows else [text for text in rows["notes"] if text]
    found: dict[str, str] = {}
    for text in texts:
        found |= {str(k): str(v)[:MOST_LETTERS] for k, v in json.loads(text).items()}
    return found


def settings_rows(texts: Sequence[Mapping[str, object]]) -> list[tuple[str, list[str], bool]]:
    """Each setting that any trial has: its name, the value in each, and whether they differ."""
    found = []
    for name in sorted({name for settings in texts for name in settings}):
        values = ["" if name not in s else str(s[name]) for s in texts]
        found.append((name, values, len(set(values)) > 1))
    return found


def _text(line: Line, place: int, q: Quantity) -> str:
    cell = line.cells[place]
    if cell.value != cell.value:
        return "not known"
    bounds = (cell.low, cell.high) if cell.low < cell.high else None
    return q.text(cell.value, bounds) + MARKS[cell.mark]

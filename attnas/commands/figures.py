"""Figures: a run's values as people read them, each with its interval in sensible digits."""

from __future__ import annotations

import json

import pandas as pd

from results import Noise, interval
from results.schema import FIXED_COLUMNS


def cell(row: pd.Series, column: str, noise: Noise) -> str:
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
    half = (bounds[1] - bounds[0]) / 2
    return f"{value:.3f} ±{half:.2f}" if half >= 0.005 else f"{value:.3f} ±{half:.3f}"


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


def settings_in_words(settings: object) -> str:
    """A row's settings as `training.learning_rate 0.004, task.lm.batch 4`; none is no text."""
    if not isinstance(settings, str):
        return ""
    return ", ".join(f"{name} {value}" for name, value in json.loads(settings).items())


def failures(frame: pd.DataFrame) -> list[tuple[int, str, str]]:
    """Trial, state and reason of each row that is not complete."""
    bad = frame[frame["state"] != "complete"]
    return [(int(row["trial"]), str(row["state"]), str(row["reason"])) for _, row in bad.iterrows()]


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that a run's own trials measured."""
    return [str(c) for c in frame.columns if c not in FIXED_COLUMNS]

"""Figures: a run's values as people read them, each with its interval in sensible digits."""

from __future__ import annotations

import json
import re

import pandas as pd
from rich.console import Console

from results import Noise, absolute_interval, interval
from results.outcomes import given_back, outcome_counts
from results.schema import FIXED_COLUMNS

PHASE = re.compile(
    r"(?P<predicted>predicted_)?(?P<what>[a-z_]+?)(_((?P<batch>\d+)x)?(?P<length>\d+))?"
    r"(?P<joules>_joules)?_ratio"
)


NAMES = {
    "kv_cache_bytes": "KV cache",
    "parameters": "params",
    "deployed_bytes": "deployed",
    "peak_prefill_bytes": "prefill peak",
    "peak_train_bytes": "train peak",
}


def heading(column: str) -> str:
    """A column as the head of a table: `prefill 8x2k`, `train step`, `KV cache`."""
    phase = PHASE.fullmatch(column)
    if phase is None:
        return NAMES.get(column, column)
    words = ["predicted"] if phase["predicted"] else []
    words.append(phase["what"].replace("_", " "))
    if phase["length"]:
        length = int(phase["length"])
        text = f"{length // 1024}k" if length % 1024 == 0 else str(length)
        words.append(f"{phase['batch']}x{text}" if phase["batch"] else text)
    return " ".join([*words, "energy"] if phase["joules"] else words)


def percent(share: object) -> str:
    """A share of draws: `97%`, `<1%`; a dash where it is unknown."""
    if pd.isna(share):  # pyright: ignore
        return "-"
    value = float(share)  # pyright: ignore
    if 0 < value < 0.01:
        return "<1%"
    return ">99%" if 0.99 < value < 1 else f"{value:.0%}"


def cell(row: pd.Series, column: str, noise: Noise, *, absolute: bool = False) -> str:
    """A value with its 95% interval, in sensible digits.

    The interval is for comparisons within the run, or `absolute`: of a design by itself.
    """
    value = row[column]
    if pd.isna(value):
        return "-"
    if "bytes" in column:
        return size(float(value))
    if float(value).is_integer() and abs(value) >= 10:
        return _count(float(value))
    bounds = (absolute_interval if absolute else interval)(row, column, noise)
    if bounds is None or bounds[0] == bounds[1]:
        return f"{value:.3f}"
    half = (bounds[1] - bounds[0]) / 2
    return f"{value:.3f} ±{half:.2f}" if half >= 0.005 else f"{value:.3f} ±{half:.3f}"


def _count(value: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.0f}"


def size(value: float) -> str:
    """Bytes as `260 KiB`."""
    for unit, least in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= least:
            return f"{value / least:.4g} {unit}"
    return f"{value:.0f} B"


def settings_in_words(settings: object) -> str:
    """A row's settings as `training.learning_rate 0.004, task.lm.batch 4`; none is no text."""
    if not isinstance(settings, str):
        return ""
    return ", ".join(f"{name} {value}" for name, value in json.loads(settings).items())


def outcomes(frame: pd.DataFrame) -> str:
    """What came of the trials, and how many wait between rungs: `7 complete, 1 on the way`."""
    return ", ".join(f"{count} {word}" for word, count in outcome_counts(frame).items())


def failures(frame: pd.DataFrame) -> list[tuple[int, str, str]]:
    """Trial, state and reason of each row that ended otherwise than complete or given back."""
    bad = frame[~frame["state"].isin(("complete", "passed")) & ~given_back(frame)]
    return [(int(row["trial"]), str(row["state"]), str(row["reason"])) for _, row in bad.iterrows()]


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that a run's own trials measured."""
    return [str(c) for c in frame.columns if c not in FIXED_COLUMNS]


def wide_console() -> Console:
    """The terminal, or lines long enough for a table where there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=132)

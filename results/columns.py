"""Columns: which ones are metrics of their own, and where the noise of each comes from.

A column whose name ends like one of COMPANIONS belongs to the metric before the ending: a
standard error (`_se`), a standard deviation (`_sd`), the bounds of a 95% interval, the number of
processes that a measurement comes from.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import pandas as pd

from results.schema import FIXED_COLUMNS

Kind = Literal["trained", "measured", "exact", "predicted", "unknown"]

COMPANIONS = ("_se", "_sd", "_low", "_high", "_processes")
PREDICTED = "predicted_"
EXACT_WORDS = frozenset({"bytes", "parameters", "flops", "pairs"})
TRAINED_WORDS = frozenset({"right", "loss", "bits", "perplexity", "bleu", "chrf"})


def is_companion(column: str) -> bool:
    """Whether the column only says something about another."""
    return column.endswith(COMPANIONS)


def is_trained(column: str) -> bool:
    """Whether the column varies with the training seed."""
    if is_companion(column) or column.startswith(PREDICTED):
        return False
    return column.startswith("accuracy") or bool(TRAINED_WORDS & set(column.split("_")))


def kind_of(column: str, columns: Collection[str]) -> Kind:
    """Where the noise of a column comes from, in a frame of these columns."""
    if column.startswith(PREDICTED):
        return "predicted"
    if f"{column}_low" in columns and f"{column}_high" in columns:
        return "measured"
    if is_trained(column):
        return "trained"
    return "exact" if EXACT_WORDS & set(column.split("_")) else "unknown"


def numeric_columns(frame: pd.DataFrame) -> list[str]:
    """What the rows of a run hold beside the fixed columns: metrics and what goes with them."""
    return [
        str(column)
        for column in frame.columns
        if column not in FIXED_COLUMNS and pd.api.types.is_numeric_dtype(frame[column])
    ]


def metric_columns(frame: pd.DataFrame) -> list[str]:
    """The metrics of a run's frame, without the columns that only say something about them."""
    return [column for column in numeric_columns(frame) if not is_companion(column)]

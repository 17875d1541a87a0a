"""Trial notes: where a trial comes from, under which settings, and what was noted of it."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from dashboard.frames.derived import notes_of
from dashboard.heartbeat import duration
from dashboard.loading import Loaded

SUBJECTS = {
    "state": "State",
    "origin": "Origin",
    "seed": "Seed",
    "rung": "Rung",
    "attempt": "Attempt",
    "worker": "Worker",
    "device": "Device",
    "threads": "Threads",
    "dtype": "Data type",
    "torch": "torch",
    "kernels": "Kernels",
    "data": "Task data",
    "key": "Design key",
}
MOST_LETTERS = 400


def show_provenance(loaded: Loaded, trial: int, row: pd.Series) -> None:
    """Tables of what is known, and nothing for what is not."""
    with st.expander("Provenance, settings and notes", expanded=True):
        for title, table in (
            ("Provenance", provenance(row)),
            ("Settings", settings(row)),
            ("Notes", _notes(loaded, trial)),
        ):
            if len(table):
                st.dataframe(
                    table,
                    hide_index=True,
                    height=min(38 + 35 * len(table), 420),
                    alt=f"{title} of the trial.",
                )


def provenance(row: pd.Series) -> pd.DataFrame:
    """What a trial ran on, a row per subject."""
    rows = [
        (name, str(row[column])[:MOST_LETTERS])
        for column, name in SUBJECTS.items()
        if column in row.index and not pd.isna(row[column])
    ]
    took = float(row["finished_at"]) - float(row["started_at"])
    return pd.DataFrame([*rows, ("Took", duration(took))], columns=["Provenance", "Value"])


def settings(row: pd.Series) -> pd.DataFrame:
    """How the trial was trained, where that was its own."""
    text = row.get("settings")
    found = json.loads(text) if isinstance(text, str) else {}
    rows = [(str(name), str(value)) for name, value in found.items()]
    return pd.DataFrame(rows, columns=["Setting", "Value"])


def _notes(loaded: Loaded, trial: int) -> pd.DataFrame:
    rows = list(notes_of(loaded, trial).items())
    return pd.DataFrame(rows, columns=["Noted of", "Note"])

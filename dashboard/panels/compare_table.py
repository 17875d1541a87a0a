"""Compare table: metrics with a column per design, the best marked, and where trials come from."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from dashboard.frames.comparing import metric_sheet, settings_rows
from dashboard.loading import Loaded
from dashboard.look import palette
from results.side_by_side import Line, provenance, telling

SUBJECTS = {"dtype": "Data type", "data": "Task data", "torch": "torch"}
TINTS = {"best": "40", "near": "1f"}  # opacities of the colour behind a cell


def show_metric_sheet(found: list[Line], names: list[str], loaded: Loaded, only: bool) -> None:
    """The metrics; with `only`, the objectives and what tells the designs apart."""
    shown = telling(found) if only else found
    table, marks = metric_sheet(shown, names, loaded)
    colour = palette().preset

    def style(_: pd.DataFrame) -> pd.DataFrame:
        return marks.map(lambda m: f"background-color: {colour}{TINTS[m]}" if m else "")

    st.dataframe(
        table.style.apply(style, axis=None),
        hide_index=True,
        height=38 + 35 * min(len(table), 24),
        column_config={"Metric": st.column_config.TextColumn(width="medium", pinned=True)}
        | {"Verdict": st.column_config.TextColumn(width="medium")},
        alt="The metrics of the designs with 95% intervals; the best of each row is marked.",
    )
    hidden = len(found) - len(shown)
    said = "★ is best by more than noise; ≈ are the best that noise does not tell apart. "
    said += "Intervals are 95%, for comparisons within the run."
    if hidden:
        said += f" {hidden} row{'' if hidden == 1 else 's'} hidden: equal, or within noise."
    st.caption(said)


def show_origins(rows: pd.DataFrame, names: list[str], only: bool) -> None:
    """Settings and provenance, a column per trial."""
    table = origins(rows, names)
    shown = table[table["differs"]] if only else table
    st.subheader("Settings and provenance", anchor=False)
    if shown.empty:
        st.caption("All trials were trained alike, on the same machine.")
        return
    st.dataframe(
        shown.drop(columns="differs"),
        hide_index=True,
        height=38 + 35 * min(len(shown), 20),
        alt="Settings and provenance of the trials, a column per trial.",
    )


def origins(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """A row per setting and per subject of the provenance; `differs` last."""
    texts = rows["settings"] if "settings" in rows else [None] * len(rows)
    settings = settings_rows([json.loads(t) if isinstance(t, str) else {} for t in texts])
    table = provenance(rows)
    table["subject"] = [SUBJECTS.get(s, s.capitalize()) for s in table["subject"]]
    own = pd.DataFrame(
        [(f"Setting {name}", *values, differs) for name, values, differs in settings],
        columns=table.columns,
    )
    found = table if own.empty else pd.concat([own, table], ignore_index=True)
    return found.set_axis(["Subject", *names, "differs"], axis=1)

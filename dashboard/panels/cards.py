"""Cards: the selected trial in words and figures, as both pages show it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.frames.designs import words
from dashboard.frames.origins import source
from dashboard.frames.trials import metric_table
from dashboard.loading import Loaded
from dashboard.view import View
from results.outcomes import in_words

NAMED = {
    "searched": "found by the search",
    "random": "sampled at random",
    "preset": "a preset",
    "again": "a design of the front, trained again under a fresh seed",
}


def trial_card(loaded: Loaded, trial: int, view: View) -> None:
    """What the trial's design is, and what was measured of it."""
    row = loaded.row_of(trial)
    with st.container(border=True):
        if row is None:
            st.markdown(f"**Trial {trial}**")
            st.text(f"This run has no trial {trial}; choose one in the chart or the table.")
            return
        st.markdown(f"**Trial {trial}**, {standing(loaded, trial)}")
        st.text(words(loaded.design_text(trial)))
        origin = str(row["origin"])
        st.text(f"{NAMED[source(origin)].capitalize()} ({origin[:200]})")
        show_reason(row)
        show_metrics(metric_table(loaded, trial), height=283)
        view.link("designs", "Open the design", trial=trial)


def show_metrics(table: pd.DataFrame, height: int | None = None) -> None:
    """Metrics with their intervals."""
    if table.empty:
        st.caption("Nothing was measured.")
        return
    rows = 35 * (len(table) + 1) + 3
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        height=min(rows, height or rows),
        column_config={"Metric": st.column_config.TextColumn(width="medium")},
        alt="The metrics of the selected trial with their 95% intervals.",
    )


def show_reason(row: pd.Series) -> None:
    """Why a trial is not complete."""
    if row["state"] != "complete":
        reason = row["reason"] if isinstance(row["reason"], str) else "no reason was recorded"
        st.text(f"{in_words(str(row['state']), reason).capitalize()}: {reason[:500]}")


def standing(loaded: Loaded, trial: int) -> str:
    """Where the design stands, in a few words of ours."""
    design = loaded.design_of(trial)
    if design is None:
        return "not complete"
    seeds = int(design["seeds"])
    of = f"{seeds} seed{'' if seeds == 1 else 's'}"
    if bool(design["on_front"]):
        return f"{'the knee of the front' if bool(design['knee']) else 'on the front'}, {of}"
    near = not pd.isna(design["within_noise_of_front"]) and bool(design["within_noise_of_front"])
    return f"{'within noise of the front' if near is True else 'dominated'}, {of}"

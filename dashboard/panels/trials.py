"""Trial panel: what the selected trials left: curves, rungs, a log, figures, notes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from dashboard import selection
from dashboard.charts.trials import trial_curves_chart
from dashboard.draw import draw
from dashboard.frames.trial_details import (
    COLOURED,
    LOG_LINES,
    MOST_LINES,
    Histories,
    histories_of,
    last_of_log,
    rung_table,
)
from dashboard.loading import Loaded
from dashboard.look import palette
from dashboard.panels.annotating import note_editor
from dashboard.panels.cards import trial_card
from dashboard.panels.trial_controls import checked
from dashboard.view import View
from results.annotations import Annotations

LOG_END = 12  # lines that are shown unasked


def selected_trials(loaded: Loaded, view: View, notes: Annotations) -> None:
    """Curves and notes on the left, figures on the right; of the knee where nothing is selected."""
    say_missing(loaded, selection.trial())
    trials = _known(loaded)
    focus = focus_of(loaded)
    if not trials:
        what = "the knee of the front" if focus == loaded.knee else "the first one"
        st.caption(f"No trial is selected: this is {what}.")
        trials = [focus]
    left, right = st.columns([1.45, 1], gap="medium")
    with left:
        _curves(loaded, [focus, *(trial for trial in trials if trial != focus)])
        _log(loaded, focus)
        note_editor(loaded.path, focus, notes)
    with right:
        _focus(trials, focus)
        trial_card(loaded, focus, view)
        _reason(loaded, focus)
        with st.container(horizontal=True):
            several = len(trials) > 1
            view.link("compare", "Compare these" if several else "Compare it", trial=focus)
            view.link("export", "Export it", trial=focus)


def focus_of(loaded: Loaded) -> int:
    """The trial that is shown in full: selected, else the knee, else the first."""
    known = _known(loaded)
    if (trial := selection.trial()) is not None and trial in known:
        return trial
    if known:
        return known[0]
    return loaded.knee if loaded.knee is not None else int(loaded.frame["trial"].iloc[0])


def _known(loaded: Loaded) -> list[int]:
    """The selected trials that this run has."""
    asked = checked()
    there = np.isin(asked, loaded.frame["trial"].to_numpy())
    return [trial for trial, is_there in zip(asked, there, strict=True) if is_there]


def say_missing(loaded: Loaded, trial: int | None) -> None:
    """Where the selected trial is none of this run's."""
    if trial is not None and loaded.row_of(trial) is None:
        st.text(f"This run has no trial {trial}.")


def _focus(trials: list[int], focus: int) -> None:
    """Which of several trials the card, the log and the note are of."""
    if len(trials) < 2:
        return
    st.session_state["trials_focus"] = focus
    st.selectbox(
        "Trial to show beside",
        trials,
        key="trials_focus",
        format_func=lambda trial: f"Details of trial {trial}",
        on_change=lambda: selection.put_trial(st.session_state["trials_focus"]),
        label_visibility="collapsed",
        width=220,
    )


def _curves(loaded: Loaded, trials: Sequence[int]) -> None:
    history = histories_of(loaded, trials)
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        st.markdown("**Learning curves**", width="content")
        st.session_state["trials_log"] = selection.get("curves") == "log"
        log = st.toggle(
            "Log scale",
            key="trials_log",
            on_change=lambda: selection.put(
                "curves", "log" if st.session_state["trials_log"] else None
            ),
            width="content",
        )
    if history.curves.empty:
        with st.container(border=True):
            st.text("No learning curve was kept: nothing of this was trained.")
    else:
        rungs = history.rungs if history.has_rungs else history.rungs.iloc[:0]
        draw(
            trial_curves_chart(history.curves, rungs, palette(), log=log),
            width="stretch",
            key="trial_curves",
            alt=f"Training loss against tokens of {history.curves['trial'].nunique()} trials.",
        )
        drawn = []
        if len(trials) > COLOURED:
            drawn.append(f"The first {COLOURED} are in colour, the others thin.")
        if len(trials) > MOST_LINES:
            drawn.append(f"{MOST_LINES} of {len(trials)} selected trials are drawn.")
        if history.has_rungs:
            drawn.append("Circles are the ends of rungs.")
        if drawn:
            st.caption(" ".join(drawn))
    if history.has_rungs:
        _rungs(loaded, history)


def _rungs(loaded: Loaded, history: Histories) -> None:
    st.markdown("**Rungs and attempts**")
    table = rung_table(loaded, history)
    st.dataframe(
        table,
        hide_index=True,
        height=min(38 + 35 * len(table), 283),
        column_config={
            "Tokens": st.column_config.NumberColumn(format="localized"),
            "Loss": st.column_config.NumberColumn(format="%.3f"),
            "Duration (s)": st.column_config.NumberColumn(format="%.1f"),
        },
        alt="Every rung and attempt of the selected trials, with its state.",
    )


def _reason(loaded: Loaded, trial: int) -> None:
    """The whole of a long reason; the card has its beginning."""
    row = loaded.row_of(trial)
    reason = None if row is None else row["reason"]
    if isinstance(reason, str) and len(reason) > 500:
        with st.expander("The whole reason"):
            st.text(reason[:20_000])


def _log(loaded: Loaded, trial: int) -> None:
    """What the worker printed, for a trial that did not complete or that printed anything."""
    row = loaded.row_of(trial)
    if row is None:
        return
    path, text = last_of_log(loaded.path, trial, int(row["attempt"]))
    if text is None:
        if row["state"] in ("failed", "diverged", "lost"):
            st.markdown("**Log**")
            st.text(f"There is no logs/{path.name}: the worker printed nothing, or elsewhere.")
        return
    lines = text.splitlines()
    st.markdown(f"**Log of trial {trial}**, how it ends")
    st.code("\n".join(lines[-LOG_END:]) or "It is empty.", language=None, wrap_lines=True)
    if len(lines) > LOG_END:
        with st.expander(f"Its last {min(len(lines), LOG_LINES):,} lines"):
            st.code(text, language=None, height=420)

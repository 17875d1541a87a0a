"""Trials page: every trial in a table, and what the selected ones left: curves, rungs, logs."""

from __future__ import annotations

import json
import shlex
from itertools import cycle

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard import selection
from dashboard.frames.trial_rows import Rows, Wanted, rows_of
from dashboard.frames.trial_table import Columns, columns_of, shown
from dashboard.live import refreshing
from dashboard.loading import Loaded, open_run
from dashboard.messages import show_command, show_no_rows
from dashboard.panels.annotating import annotations_of
from dashboard.panels.trial_controls import AGE, checked, filters, shown_columns, sort_of, toolbar
from dashboard.panels.trials import focus_of, say_missing, selected_trials
from dashboard.view import View
from results.annotations import Annotations

PAGE = 50  # rows
PAGES_WIDTH = 360
WIDTHS = {
    "trial": 58,
    "outcome": 88,
    "origin": 124,
    "design": 214,
    "seeds": 56,
    "front": 98,
    "tags": 110,
    "note": 240,
    "reason": 300,
}
NUMBER_WIDTH, LONG_NUMBER_WIDTH = 104, 154  # by the length of the heading


def page(view: View) -> None:
    """The whole page; it refreshes while the run is live."""
    st.header("Trials", anchor=False)
    refreshing(view.path, lambda: _body(open_run(view.path), view))


def _body(loaded: Loaded, view: View) -> None:
    if loaded.frame.empty:
        show_no_rows(0)
        say_missing(loaded, selection.trial())
        show_command(f"attnas status {view.name}", "The same from a shell:")
        return
    notes = annotations_of(loaded.path)
    wanted = filters(loaded, notes)
    columns = columns_of(loaded)
    names, sort, descending = shown_columns(columns), *sort_of(columns)
    rows = rows_of(loaded, wanted, notes, sort, descending)
    toolbar(loaded, rows, names, columns, notes)
    _table(loaded, rows, names, columns, notes)
    selected_trials(loaded, view, notes)
    show_command(_command(loaded, view, wanted, names, sort, descending), "The same from a shell:")


def _table(
    loaded: Loaded, rows: Rows, names: list[str], columns: Columns, notes: Annotations
) -> None:
    if not len(rows):
        with st.container(border=True):
            st.text("No trial fits. Widen the search, the states, the tag or what is kept above.")
        return
    start = _page_start(len(rows))
    part = rows[start : start + PAGE]
    trials = [int(trial) for trial in loaded.frame["trial"].to_numpy()[part]]
    values, texts = shown(loaded, part, names, columns, notes)
    marked = set(checked())
    key = f"trials-{st.session_state.get(AGE, 0)}-{hash(tuple(trials))}"

    def picked() -> None:
        chosen = {trials[row] for row in st.session_state[key]["selection"]["rows"]}
        before = set(checked())
        after = (before - set(trials)) | chosen
        added = [trial for trial in trials if trial in chosen - before]
        shows = selection.trial()
        selection.put_trials(after if len(after) > 1 else [])
        if added or shows not in after:
            selection.put_trial(added[-1] if added else max(after, default=None))

    styled = values.style.format({name: _Texts(texts[name]) for name in names})
    st.dataframe(
        styled,
        hide_index=True,
        key=key,
        on_select=picked,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [i for i, t in enumerate(trials) if t in marked]}},
        height=min(38 + 35 * len(trials), 423),
        placeholder="",
        column_config={name: _column(name, columns) for name in names},
        alt="One page of the trials found; selecting rows selects their trials on every page.",
    )
    _pages(len(rows), len(loaded.frame), start, len(part))


class _Texts:
    """The texts of a column's cells, given out one by one, as a table's styler asks for them."""

    def __init__(self, texts: pd.Series) -> None:
        self._texts = cycle(texts)

    def __call__(self, value: object) -> str:
        return next(self._texts)


def _column(name: str, columns: Columns) -> ColumnConfig:
    help_text = None
    if name in columns.objectives:
        help_text = "± is half the 95% interval of one training, where its noise is known."
    if name == "front":
        help_text = "Where the trial's design stands, its seeds taken together."
    if name in columns.quantities or name in ("seeds", "seconds"):
        heading = columns.heading(name)
        width = NUMBER_WIDTH if len(heading) < 15 else LONG_NUMBER_WIDTH
        return st.column_config.NumberColumn(heading, width=WIDTHS.get(name, width), help=help_text)
    return st.column_config.Column(
        columns.heading(name), width=WIDTHS.get(name), help=help_text, pinned=name == "trial"
    )


def _page_start(count: int) -> int:
    """The first row of the page that the URL asks for."""
    pages = -(-count // PAGE)
    asked = selection.number_of(selection.get("page")) or 1
    return (min(max(asked, 1), pages) - 1) * PAGE


def _pages(count: int, total: int, start: int, length: int) -> None:
    of = f"{count:,} trials" if count == total else f"{count:,} found, of {total:,} trials"
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        st.caption(
            f"{start + 1:,} to {start + length:,} of {of}. A column's head sorts this page only.",
            width="content",
        )
        pages = -(-count // PAGE)
        if pages > 1:
            page_shown = start // PAGE + 1
            key = f"trials_page-{count}-{page_shown}"  # anew, for it takes its page once
            st.pagination(
                pages,
                default=page_shown,
                key=key,
                width=PAGES_WIDTH,
                on_change=lambda: _turn_to(st.session_state[key]),
            )


def _turn_to(page: int) -> None:
    selection.put("page", None if page == 1 else str(page))


def _command(
    loaded: Loaded, view: View, wanted: Wanted, names: list[str], sort: str, descending: bool
) -> str:
    """Python for the table, and the commands for one trial."""
    lines = ["import attnas", f"f = attnas.load({json.dumps(str(view.path))})"]
    raw = sort if sort in loaded.frame else "trial"
    states = sorted(wanted.states & set(loaded.frame["state"].unique()))
    if states:
        lines.append(f'f = f[f["state"].isin({json.dumps(states)})]')
    if wanted.only:
        lines.append(f'f = f[f["trial"].isin({list(wanted.only)})]')
    lines.append(f"f = f.sort_values({json.dumps(raw)}, ascending={not descending})")
    columns = ["state" if name == "outcome" else name for name in names]
    columns = [name for name in columns if name in loaded.frame]
    lines.append(f"print(f[{json.dumps(columns)}].to_string())")
    trial = focus_of(loaded)
    return (
        f"python -c {shlex.quote('; '.join(lines))}\n"
        f"attnas show {view.name} {trial}\n"
        f'attnas note {view.name} {trial} "what is to be remembered" --tag promising'
    )

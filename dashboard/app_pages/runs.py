"""Runs page: every run under the folder, the newest first, and one or several to look at."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import selection
from dashboard.frames.run_list import Looked, RunFacts, facts_of, look_up, run_table
from dashboard.live import REFRESH, WATCH, repeating
from dashboard.loading import runs_under
from dashboard.messages import show_command, show_unreadable
from dashboard.view import View
from results import RunError
from results.pull import is_pulled

TABLE, FIND, SWITCHED = "runs_table", "runs_find", "runs_switched"
BAD_SHOWN = 20


def page(view: View) -> None:
    """The whole page; it looks again now and then, sooner while a driver works."""
    st.header("Runs", anchor=False)
    live = any(run.beat is not None and run.beat.live for run in facts_of(view.runs))
    repeating(REFRESH if live else WATCH, lambda: _body(view))


def _body(view: View) -> None:
    if st.session_state.pop(SWITCHED, False):
        st.rerun()  # the sidebar shows another run now
    try:
        facts = facts_of(runs_under(view.root))
    except RunError as error:
        show_unreadable(error)
        return
    looked = _looked()
    left = look_up(facts, looked)
    table = run_table(facts, looked, _find(), view.path.name)
    _counted(facts, len(table), view)
    _table(table, view)
    if left:
        st.caption(f"Sizes and best values of {left:,} runs are still being looked up.")
    _chosen(view)
    _bad([run for run in facts if run.problem is not None])
    _where(view)
    show_command(
        f"attnas status {view.name}\nattnas dashboard {shlex.quote(str(view.root))}",
        "The state of the run in view, and this dashboard, from a shell:",
    )


@st.cache_resource(show_spinner=False)
def _looked() -> Looked:
    return Looked()


def _find() -> str:
    """The search box; what it holds is in the URL."""
    st.session_state.setdefault(FIND, selection.get("seek") or "")
    st.text_input(
        "Find a run by name, state, task, strategy, objective or version",
        key=FIND,
        placeholder="for instance: live lm",
        on_change=lambda: selection.put("seek", st.session_state[FIND].strip() or None),
        width=480,
    )
    return str(st.session_state[FIND])


def _counted(facts: Sequence[RunFacts], shown: int, view: View) -> None:
    total = len(facts)
    live = sum(run.beat is not None and run.beat.live for run in facts)
    readable = sum(run.problem is None for run in facts)
    words = f"{total:,} run{'' if total == 1 else 's'} under {view.root}"
    words += f", {live:,} live" if live else ", none live"
    if shown < readable:
        words += f"; {shown:,} of them match"
    st.text(words + ".")


def _table(table: pd.DataFrame, view: View) -> None:
    """One selected row is looked at, several are compared."""
    if table.empty:
        return
    names = [str(name) for name in table["Run"]]
    key = f"{TABLE}-{hash(tuple(names))}"
    chosen = [*selection.listed("runs"), view.path.name]
    rows = [i for i, name in enumerate(names) if name in chosen] if len(chosen) > 1 else []

    def picked() -> None:
        _look_at([names[row] for row in st.session_state[key]["selection"]["rows"]], view)

    st.dataframe(
        table,
        hide_index=True,
        key=key,
        on_select=picked,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": rows}},
        height=38 + 35 * min(len(table), 14),
        column_config={
            "In view": st.column_config.TextColumn("", width=32),
            "Run": st.column_config.TextColumn(width=150),
            "State": st.column_config.TextColumn(width=95),
            "Started": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm", width=140),
            "Trials": st.column_config.NumberColumn(format="localized", width=70),
            "Budget": st.column_config.NumberColumn(format="localized", width=70),
            "Done": st.column_config.ProgressColumn(
                min_value=0, max_value=1, format="percent", width=95
            ),
            "Best": st.column_config.TextColumn(
                width=130,
                help="Of the first objective, over complete trials; – where there is none, or "
                "where so many rows are not read for a list.",
            ),
            "Objectives": st.column_config.TextColumn(width=260),
            "Task": st.column_config.TextColumn(width=90),
            "Strategy": st.column_config.TextColumn(width=80),
            "Size": st.column_config.NumberColumn("Size (MiB)", format="%.2f", width=90),
            "attnas": st.column_config.TextColumn(width=75),
        },
        alt="Every run with its state, start, progress, best value, task, strategy and size.",
    )
    st.caption("● is the run in view. Select one to look at it, several to compare them.")


def _look_at(names: Sequence[str], view: View) -> None:
    """One becomes the run in view; others stand beside it."""
    if not names:
        selection.put("runs", None)
        return
    first = view.path.name if view.path.name in names and len(names) > 1 else names[0]
    if first != view.path.name:
        selection.put("run", first)
        selection.forget_run()
        st.session_state["run_picker"] = first  # the sidebar's own
        st.session_state[SWITCHED] = True
    selection.put("runs", ",".join(name for name in names if name != first) or None)


def _chosen(view: View) -> None:
    """Where to go from here."""
    others = selection.listed("runs")
    with st.container(horizontal=True, gap="medium"):
        view.link("overview", "Look at the run in view")
        if others:
            view.link("compare", f"Compare {len(others) + 1} runs")


def _bad(runs: Sequence[RunFacts]) -> None:
    """Runs that cannot be shown, each with its sentence; they hide none of the others."""
    if not runs:
        return
    count = len(runs)
    st.subheader(f"{count:,} run{'' if count == 1 else 's'} cannot be shown", anchor=False)
    for run in runs[:BAD_SHOWN]:
        st.text(f"{run.name[:200]}: {str(run.problem)[:600]}")
    if count > BAD_SHOWN:
        st.caption(f"and {count - BAD_SHOWN:,} more")
    st.caption("Each can be checked, and where possible mended, from a shell:")
    st.code("attnas doctor RUN", language="bash")


def _where(view: View) -> None:
    """Where runs are from, and what is never done to them."""
    if is_pulled(view.root):
        st.text(
            "These are copies of runs in an object store, brought up to date every few seconds "
            "while this dashboard was started with the store's address."
        )
    st.caption(
        "The dashboard reads runs and never changes one: it writes notes and tags beside the rows, "
        "and nothing else. To rename, move or delete a run, stop its driver and do so with its "
        "folder."
    )

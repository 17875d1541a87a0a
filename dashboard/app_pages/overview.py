"""Overview page: how far the run is, what each worker does, what came of it so far."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from dashboard import selection
from dashboard.charts.growth import OPEN, growth_chart, small_front_chart
from dashboard.draw import draw
from dashboard.frames.derived import points_of, quantities_of, summary_of, words_of
from dashboard.frames.derived_progress import (
    failures_of,
    gains_of,
    growth_by_source_of,
    highlights_of,
)
from dashboard.frames.headline import figures
from dashboard.frames.origins import PRESET
from dashboard.frames.points import step_line
from dashboard.frames.progress import Progress, progress_of, workers_table
from dashboard.frames.quantities import Quantity
from dashboard.frames.units import seconds_text, time_unit
from dashboard.heartbeat import duration
from dashboard.live import refreshing
from dashboard.loading import Loaded, open_run
from dashboard.look import palette
from dashboard.messages import show_command, show_no_rows, show_standing
from dashboard.panels.cards import trial_card
from dashboard.view import View
from results import Heartbeat, read_heartbeat

FRONT, OPENED = "overview_front", "overview_front_opened"
FAILURES, FAILURES_AGE = "overview_failures", "overview_failures_picked"
OVER = "overview_over"


def page(view: View) -> None:
    """The whole page; it refreshes while the run is live."""
    st.header("Overview", anchor=False)
    refreshing(view.path, lambda: _body(open_run(view.path), view))


def _body(loaded: Loaded, view: View) -> None:
    """Parts have places of their own, so that one that comes or goes moves no other's chart."""
    now = time.time()
    beat = read_heartbeat(view.path, now)
    rows, designs = len(loaded.frame), len(loaded.report)
    summary, standing, numbers, workers, charts, best, gained, wrong = (
        st.container() for _ in range(8)
    )
    if rows:
        summary.text(summary_of(loaded))
    with standing:
        show_standing(beat, view.name, rows)
        if beat.state == "finished" and designs:
            _finished(loaded, view)
    if rows or beat.live:
        with numbers:
            _figures(progress_of(loaded.frame, beat, now), beat, now)
    if beat.live:
        with workers:
            _workers(beat)
    with charts:
        if designs:
            left, right = st.columns([1.15, 1], gap="medium")
            with left:
                _growth(loaded)
            with right:
                _front(loaded, quantities_of(loaded), view)
        elif rows:
            show_no_rows(rows)
    if designs:
        with best:
            _best(loaded, view)
        with gained:
            _gains(loaded)
    if rows:
        with wrong:
            _failures(loaded, view)
    show_command(f"attnas status {view.name}", "The same from a shell:")


def _finished(loaded: Loaded, view: View) -> None:
    """What came of it, and where to go from here."""
    front = int(loaded.report["on_front"].sum())
    designs = f"{front} design{'' if front == 1 else 's'}"
    with st.container(border=True):
        st.text(
            f"Finished: the front has {designs} of {len(loaded.report):,} measured. "
            "Look at the trade-offs, then export the design you want."
        )
        with st.container(horizontal=True, gap="medium"):
            view.link("pareto", "See the front")
            if loaded.knee is not None:
                view.link("designs", "Look at the knee", trial=loaded.knee)
                view.link("export", "Export the knee", trial=loaded.knee)
            view.link("timeline", "Where the time went")


def _figures(progress: Progress, beat: Heartbeat, now: float) -> None:
    """A row of numbers."""
    with st.container(horizontal=True, gap="small"):
        for label, value, note in figures(progress, beat, now):
            with st.container(border=True, width=201, height=118, gap=None):
                st.metric(label, value)
                st.caption(note or "\u00a0")
    if progress.share is not None and beat.live:
        st.progress(progress.share)


def _workers(beat: Heartbeat) -> None:
    """What each is at; a fixed height, so that nothing below jumps."""
    st.subheader("Workers", anchor=False)
    if beat.phase not in (None, "searching"):
        st.text(f"The driver says: {str(beat.phase)[:300]}")
    table = workers_table(beat)
    table["For"] = [seconds_text(s) if s == s and s is not None else "" for s in table["For"]]
    began = table.pop("Since it began")
    table.insert(
        4, "Trial began", [f"{duration(s)} ago" if s == s and s is not None else "" for s in began]
    )
    lanes = min(8, max(beat.workers or 0, len(table), 1))
    st.dataframe(
        table,
        hide_index=True,
        key="overview_workers",
        height=38 + 35 * lanes,
        column_config={
            "Worker": st.column_config.TextColumn(width="medium"),
            "Trial": st.column_config.NumberColumn(width=70, format="%d"),
            "Training": st.column_config.ProgressColumn(
                "Training done", min_value=0, max_value=1, format="percent", width=150
            ),
        },
        alt="Each running trial with its worker, what it does now, and for how long.",
    )
    idle = (beat.workers or 0) - len(beat.running)
    if idle > 0:
        st.caption(f"{idle:,} worker{' is' if idle == 1 else 's are'} idle or starting.")
    else:
        st.caption("Every worker has a trial." if beat.workers else "\u00a0")


def _growth(loaded: Loaded) -> None:
    """The search against chance and presets."""
    growth = growth_by_source_of(loaded)
    st.subheader("Hypervolume", anchor=False)
    if set(growth["source"]) <= {PRESET}:
        st.text("No searched or random design is complete yet: so far presets have the box alone.")
        return
    over = st.segmented_control(
        "Hypervolume over",
        ["trials", "time"],
        default="trials",
        format_func=lambda name: f"Over {name}",
        key=OVER,
        label_visibility="collapsed",
        required=True,
    )
    unit, scale = time_unit(float(growth["hours"].max()) * 3600)
    growth = growth.assign(
        x=growth["trials"] if over == "trials" else growth["hours"] * 3600 / scale,
        text=[
            f"{int(n):,} trials, {seconds_text(3600 * h)}"
            for n, h in zip(growth["trials"], growth["hours"], strict=True)
        ],
    )
    draw(
        growth_chart(growth, "time" if over == "time" else "trials", unit, palette()),
        width="stretch",
        key=f"overview_growth_{over}",
        alt=_growth_words(growth),
    )
    st.caption(
        "The share of a box that each kind of design dominates; the box reaches from the best "
        "value of every objective to the worst seen and a tenth beyond. Higher is better."
    )


def _growth_words(growth: pd.DataFrame) -> str:
    last = growth.groupby("source")["share"].max()
    return "Hypervolume reached: " + ", ".join(f"{s} {v:.0%}" for s, v in last.items())


def _front(loaded: Loaded, by_column: Mapping[str, Quantity], view: View) -> None:
    """In small; a click goes to the large one."""
    first, second = (by_column[o.column] for o in loaded.run.objectives[:2])
    points, _ = points_of(loaded, second, first, (False, False))
    st.subheader("Front", anchor=False)
    with st.container(horizontal=True, height=34, border=False):
        view.link("pareto", "Open the Pareto page")
    picked = draw(
        small_front_chart(points, step_line(points, second, first), second, first, palette()),
        width="stretch",
        key=FRONT,
        on_select="rerun",
        selection_mode=[OPEN],
        alt=f"The front: {first.axis} against {second.axis}.",
    )
    st.caption("The front is drawn large. A click on a design opens it on the Pareto page.")
    chosen = picked["selection"].get(OPEN, [])
    if chosen and chosen != st.session_state.get(OPENED):
        st.session_state[OPENED] = chosen
        selection.put_trial(int(chosen[0]["trial"]))
        if "pareto" in view.pages:
            st.switch_page(view.pages["pareto"], query_params=selection.link())


def _best(loaded: Loaded, view: View) -> None:
    """A card for each."""
    found = highlights_of(loaded)
    st.subheader("The best designs", anchor=False)
    texts = words_of(loaded, [one.trial for one in found])
    columns = st.columns(max(2, len(found)), gap="small")
    for one, text, column in zip(found, texts, columns, strict=False):
        with column, st.container(border=True, height="stretch"):
            st.markdown(f"**{one.title}**, trial {one.trial}")
            st.text("\n".join(f"{name}: {figure}" for name, figure in one.figures))
            st.text(text[:400])
            view.link("designs", "Open the design", trial=one.trial)
    st.caption("± is half of a 95% interval for comparisons within this run, where noise is known.")


def _gains(loaded: Loaded) -> None:
    """Sentences of ours; names of presets are text."""
    if said := gains_of(loaded):
        st.subheader("What the search added", anchor=False)
        st.text(said)


def _failures(loaded: Loaded, view: View) -> None:
    """Grouped; a row selects its example."""
    table = failures_of(loaded)
    st.subheader("What went wrong", anchor=False)
    if table.empty:
        st.text("None of the trials failed, diverged or broke a limit.")
        return
    shown = pd.DataFrame(
        {
            "Trials": table["count"],
            "State": table["state"],
            "Reason (of the newest)": table["reason"],
            "Newest trial": table["trial"],
        }
    )
    examples = [int(trial) for trial in table["trial"]]

    def picked() -> None:
        if rows := st.session_state[FAILURES]["selection"]["rows"]:
            selection.put_trial(examples[rows[0]])
            st.session_state[FAILURES_AGE] = examples[rows[0]]

    st.dataframe(
        shown,
        hide_index=True,
        key=FAILURES,
        on_select=picked,
        selection_mode="single-row",
        height=38 + 35 * min(len(shown), 6),
        column_config={
            "Trials": st.column_config.NumberColumn(width=70, format="%d"),
            "State": st.column_config.TextColumn(width=100),
            "Newest trial": st.column_config.NumberColumn(width=110, format="%d"),
        },
        alt="Trials that came to nothing, by reason; selecting a row shows the newest of them.",
    )
    st.caption("Reasons that differ in numbers alone are one. Select a row to see the newest.")
    example = st.session_state.get(FAILURES_AGE)
    if example in examples and example == selection.trial():
        trial_card(loaded, example, view)

"""Timeline page: what every worker did when, and where the time went."""

from __future__ import annotations

import math
import time

import pandas as pd
import streamlit as st

from dashboard import selection
from dashboard.charts.timeline import GO, PICK, STATES, ZOOM, timeline_chart, use_chart
from dashboard.draw import draw
from dashboard.frames.derived_progress import lanes_of, time_in_words, use_of, worked_of
from dashboard.frames.spans import (
    OTHER,
    WHOLE,
    Worked,
    lane_key,
    running_segments,
    segments,
    thinned,
    work_within,
)
from dashboard.frames.units import seconds_text
from dashboard.frames.windows import WINDOWS, Window, default_window, spelled, window_of
from dashboard.heartbeat import doing_now
from dashboard.live import refreshing
from dashboard.loading import Loaded, open_run
from dashboard.look import palette
from dashboard.messages import show_command, show_standing
from dashboard.panels.cards import trial_card
from dashboard.view import View
from results import read_heartbeat

CHART, PICKED = "timeline_chart", "timeline_picked"
USE, WENT = "timeline_use", "timeline_went"
MOST_BARS = 450  # trials that are drawn, of about five marks each
MOST_LANES = 48


def page(view: View) -> None:
    """The whole page; it refreshes while the run is live."""
    st.header("Timeline", anchor=False)
    refreshing(view.path, lambda: _body(open_run(view.path), view))


def _body(loaded: Loaded, view: View) -> None:
    worked = worked_of(loaded)
    if worked.bars.empty:
        show_standing(read_heartbeat(view.path), view.name, 0)
    else:
        st.text(time_in_words(loaded))
        window = _window(worked)
        _use(loaded, worked, window)
        _lanes(loaded, worked, window)
        trial = selection.trial()
        if trial is not None:
            _selected(loaded, trial, view)
        _workers(loaded)
    show_command(f"attnas status {view.name}", "The same run from a shell:")


def _window(worked: Worked) -> Window:
    """How much is drawn trial by trial, and where."""
    offered = [w for w in WINDOWS if w.seconds is None or w.seconds < worked.seconds]
    asked = window_of(selection.get("window"), worked.seconds)
    window = asked or default_window(worked, offered, MOST_BARS)
    labels = {w.label: w for w in offered}

    def chosen() -> None:
        label = st.session_state["timeline_window"]
        if label in labels:
            selection.put("window", spelled(labels[label].seconds, None))

    st.session_state["timeline_window"] = window.label if window.label in labels else None
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control(
            "Trial by trial", list(labels), key="timeline_window", on_change=chosen
        )
        step = None if window.seconds is None else window.seconds / 2
        low, high = window.bounds(worked.seconds)
        for label, by, ends in (("Earlier", -1, low <= 0), ("Later", 1, high >= worked.seconds)):
            st.button(
                label,
                key=f"timeline_{label}",
                disabled=step is None or ends,
                icon=":material/chevron_left:" if by < 0 else ":material/chevron_right:",
                on_click=_moved,
                args=(window, by, worked.seconds),
            )
    return window


def _moved(window: Window, by: int, whole: float) -> None:
    if window.seconds is not None:
        _, high = window.bounds(whole)
        _go(window.seconds, high + by * window.seconds / 2, whole)


def _go(seconds: float, until: float, whole: float) -> None:
    """Where the window ends; at the end of the run it follows what comes."""
    until = max(seconds, until)
    selection.put("window", spelled(seconds, None if until >= whole else until))


def _use(loaded: Loaded, worked: Worked, window: Window) -> None:
    """The whole run, in equal parts."""
    low, high = window.bounds(worked.seconds)
    use = use_of(loaded)
    use = use.assign(
        begin=1000 * use["start"],
        stop=1000 * use["end"],
        seconds=(use["start"] + use["end"]) / 2,
        when=[f"{a} to {b}" for a, b in zip(_at(use["start"]), _at(use["end"]), strict=True)],
    )
    frame = pd.DataFrame({"begin": [1000 * low], "stop": [1000 * high]})
    lanes = len(worked.lanes)
    most = max(1.0, float(use.groupby("start")["workers"].sum().max()))

    def went() -> None:
        points = st.session_state[USE]["selection"].get(GO, [])
        if points and points != st.session_state.get(WENT) and window.seconds is not None:
            st.session_state[WENT] = points
            middle = float(points[0]["seconds"])
            _go(window.seconds, middle + window.seconds / 2, worked.seconds)

    draw(
        use_chart(use, frame, math.ceil(most - 1e-6), palette()),
        width="stretch",
        key=USE,
        on_select=went,
        selection_mode=[GO],
        alt=f"How many of {lanes} workers did what over the whole run. " + time_in_words(loaded),
    )
    began = time.strftime("%d %B %Y %H:%M", time.gmtime(worked.began_at))
    frame_said = " The frame is what is drawn below; a click moves it." if window.seconds else ""
    st.caption(
        f"The whole run: how many workers did what, on average. Its first trial began on {began} "
        f"UTC; the last to end did so {seconds_text(worked.seconds)} later.{frame_said}"
    )


def _at(seconds: pd.Series) -> list[str]:
    return [seconds_text(float(value)) for value in seconds]


def _lanes(loaded: Loaded, worked: Worked, window: Window) -> None:
    """Trial by trial; a click selects one."""
    low, high = window.bounds(worked.seconds)
    bars, parts = work_within(worked, low, high)
    shown = thinned(bars, MOST_BARS)
    now = running_segments(worked, read_heartbeat(loaded.path), time.time())
    now = now if window.until is None else now.iloc[:0]
    cut = len(bars) - len(shown)
    workers = sorted({*shown["worker"], *now["worker"]}, key=lane_key)
    lanes = workers[:MOST_LANES]
    shown = shown[shown["worker"].isin(lanes)]
    drawn = segments(worked, shown, parts)
    drawn = pd.concat([drawn.assign(said=_known(drawn)), now[now["worker"].isin(lanes)]])
    for name in ("begin", "stop", "start", "end"):
        drawn[name] = 1000 * drawn[name]
    drawn["selected"] = drawn["trial"] == selection.trial()
    ends = drawn[drawn["phase"].isin([OTHER, WHOLE]) & drawn["state"].isin(list(STATES))]
    away = worked.away[(worked.away["end"] >= low) & (worked.away["start"] <= high)]
    away = pd.DataFrame(
        {
            "begin": 1000 * away["start"],
            "stop": 1000 * away["end"],
            "middle": 500 * (away["start"] + away["end"]),
            "text": [f"nobody worked for {t}" for t in _at(away["end"] - away["start"])],
        }
    )
    columns = [
        "trial", "worker", "phase", "begin", "stop", "start", "end", "state", "said", "origin",
        "took", "whole", "selected",
    ]  # fmt: skip
    draw(
        timeline_chart(drawn[columns], ends[columns], away, lanes, palette()),
        width="stretch",
        key=CHART,
        on_select=_picked,
        selection_mode=[PICK, ZOOM],  # Streamlit keeps a zoom only if it is a selection
        alt=f"What each of {len(lanes)} workers did from {seconds_text(max(0, low))} to "
        f"{seconds_text(high)}; the table below has their shares of time.",
    )
    _fine_print(worked, len(shown), cut, len(workers))


def _known(drawn: pd.DataFrame) -> list[str]:
    """The reason, or what an older row says of its time."""
    said = []
    for detail, reason, train, measure in drawn[
        ["detail", "reason", "train_seconds", "measure_seconds"]
    ].itertuples(index=False):
        parts = [reason[:120]] if reason else []
        if not detail:
            parts += [f"trained {seconds_text(train)}"] if train == train else []
            parts += [f"measured {seconds_text(measure)}"] if measure == measure else []
        said.append("; ".join(parts) or "nothing more")
    return said


def _picked() -> None:
    points = st.session_state[CHART]["selection"].get(PICK, [])
    if points and points != st.session_state.get(PICKED):  # else it was a zoom
        st.session_state[PICKED] = points
        selection.put_trial(int(points[0]["trial"]))


def _fine_print(worked: Worked, shown: int, cut: int, workers: int) -> None:
    """How to read it, and what of it is not drawn: `cut` trials and some workers."""
    notes = ["A lane is a worker; a mark at a trial's end says how it ended, none that it is "]
    notes += ["complete. Click selects, drag pans, scroll zooms, double click resets."]
    if shown < len(worked.bars):
        notes.append(f" {shown:,} of {len(worked.bars):,} trials are drawn")
        notes.append(f", {cut:,} earlier ones of this window not." if cut else ".")
    if workers > MOST_LANES:
        notes.append(f" {MOST_LANES} of {workers:,} workers are drawn.")
    if not worked.bars["detail"].all():
        notes.append(" Rows of an older attnas do not say when they trained and measured.")
    st.caption("".join(notes))


def _selected(loaded: Loaded, trial: int, view: View) -> None:
    """Its card; of one that has no row yet, what it does now."""
    running = {each.trial: each for each in read_heartbeat(view.path).running}
    if loaded.row_of(trial) is None and trial in running:
        doing = doing_now(running[trial]) or "no more is known"
        st.text(f"Trial {trial} is on its way: {doing}. What came of it appears here.")
        return
    trial_card(loaded, trial, view)
    view.link("trials", "Its row, curves and logs", trial=trial)


def _workers(loaded: Loaded) -> None:
    """In numbers."""
    st.subheader("Workers", anchor=False)
    table = lanes_of(loaded)
    percent = st.column_config.NumberColumn(format="%.0f%%", width=88)
    others = {c: percent for c in table.columns if c not in ("Worker", "Trials", "Busy")}
    st.dataframe(
        table,
        hide_index=True,
        key="timeline_workers",
        height=38 + 35 * min(len(table), 10),
        column_config={
            "Worker": st.column_config.TextColumn(width="medium"),
            "Trials": st.column_config.NumberColumn(format="localized", width=70),
            "Busy": st.column_config.ProgressColumn(
                min_value=0, max_value=100, format="%.0f%%", width=140
            ),
            **others,
        },
        alt="Each worker's trials, and the shares of its time that it was busy, by what it did.",
    )
    st.caption(
        "Shares of a worker's time from its first trial to its last, without times in which "
        "nobody worked. Starting is a process that imports what it needs, or a fresh one that "
        "measures a finalist and may wait for the device."
    )

"""Live: parts of a page that draw themselves again while a run's driver is alive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from dashboard.heartbeat import BADGES, doing_now, duration
from dashboard.messages import show_unreadable
from results import Heartbeat, RunError, read_heartbeat

REFRESH = 2.0  # seconds, while the driver is alive
WATCH = 10.0  # seconds, to notice that a driver started
SHOWN = 8  # running trials in the sidebar


def refreshing(path: Path, draw: Callable[[], None]) -> None:
    """Draw, and again every two seconds while the driver is alive, keeping what is selected."""
    live = read_heartbeat(path).live

    @st.fragment(run_every=REFRESH if live else None)
    def part() -> None:
        try:
            draw()
        except RunError as error:
            show_unreadable(error)
        if live and not read_heartbeat(path).live:
            st.rerun()

    part()


def repeating(seconds: float, draw: Callable[[], None]) -> None:
    """Draw, and again every so many seconds: what belongs to no one run."""

    @st.fragment(run_every=seconds)
    def part() -> None:
        draw()

    part()


def status_panel(path: Path) -> None:
    """The run's state in the sidebar; starts the pages' refreshing when a driver appears."""
    live = read_heartbeat(path).live

    @st.fragment(run_every=REFRESH if live else WATCH)
    def part() -> None:
        beat = read_heartbeat(path)
        show_heartbeat(beat)
        if beat.live != live:
            st.rerun()

    part()


def show_heartbeat(beat: Heartbeat) -> None:
    """State, progress against the budget, and what the workers are at."""
    st.badge(BADGES[beat.state])
    done, budget = beat.trials_done, beat.trials_budget
    if done is not None:
        of = f" of {budget:,}" if budget else ""
        share = beat.share_done
        if share is None:
            st.text(f"{done:,} trials done")
        else:
            st.progress(share, text=f"{done:,}{of} trials done")
    if beat.state == "silent" and beat.age is not None:
        st.caption(
            f"The driver has not reported for {duration(beat.age)}. If it was killed, "
            "`attnas resume` goes on and repeats nothing that finished."
        )
    if not beat.live:
        return
    if beat.seconds_left is not None:
        st.caption(f"{duration(beat.seconds_left)} left until the deadline")
    lines = []
    for running in beat.running[:SHOWN]:
        number = "A trial" if running.trial is None else f"Trial {running.trial}"
        since = "" if running.seconds is None else f", {duration(running.seconds)}"
        lines.append(f"{number}: {doing_now(running) or running.origin[:40] or 'unknown'}{since}")
    if lines:
        st.text("\n".join(lines))
    if len(beat.running) > SHOWN:
        st.caption(f"and {len(beat.running) - SHOWN:,} more: see Overview")

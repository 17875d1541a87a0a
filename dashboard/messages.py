"""Messages: what a page says where there is nothing to show, or nothing readable."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.heartbeat import duration
from results import Heartbeat, RunError


def show_unreadable(error: RunError) -> None:
    """Why a run cannot be shown; the sentence holds the way out."""
    with st.container(border=True):
        st.subheader("This run cannot be shown")
        st.text(str(error))
        st.caption("Choose another run on the left, or check this one from a shell:")
        st.code("attnas doctor RUN", language="bash")


def show_no_runs(root: Path) -> None:
    """The first thing a new user sees."""
    with st.container(border=True):
        st.subheader("No runs yet")
        st.text(f"No runs under {root} yet. Start one:")
        st.code("attnas search configs/lm.yaml", language="bash")
        st.caption("It appears here by itself, while it is still searching.")


def show_run_gone(name: str, root: Path) -> None:
    """A run that the URL names and that is not there, or not there any more."""
    with st.container(border=True):
        st.subheader("That run is not here")
        st.text(f"There is no run {name[:200]} under {root}; it may have been moved or deleted.")
        st.caption("Choose another run on the left.")


def show_standing(beat: Heartbeat, run: str, rows: int) -> None:
    """What to do about a run that nobody works at, and what a young one is waiting for."""
    if beat.state == "silent":
        with st.container(border=True):
            st.subheader("The driver is gone")
            ago = "" if beat.age is None else f" It last reported {duration(beat.age)} ago."
            st.text(
                f"This run is not finished, and the process that drove it does not answer.{ago} "
                "What was finished is kept; a resume repeats none of it."
            )
            st.code(f"attnas resume {run}", language="bash")
    elif beat.state == "stopped":
        with st.container(border=True):
            st.subheader("Stopped before its budget was used")
            st.text("It was interrupted, or its time was up. It goes on where it stopped:")
            st.code(f"attnas resume {run}", language="bash")
    elif beat.live and not rows:
        with st.container(border=True):
            st.subheader("The first trial is running")
            longest = max((r.seconds for r in beat.running if r.seconds is not None), default=None)
            since = "" if longest is None else f" It began {duration(longest)} ago."
            st.text(f"Figures appear here as soon as a trial has ended.{since}")
    elif not rows:
        with st.container(border=True):
            st.subheader("No trial has finished yet")
            st.text("No driver works at this run. Start it where it was left:")
            st.code(f"attnas resume {run}", language="bash")


def show_no_rows(frame_rows: int) -> None:
    """A run before its first complete trial."""
    with st.container(border=True):
        if frame_rows == 0:
            st.subheader("No trial has finished yet")
            st.caption("The first points appear here as soon as a trial has been measured.")
        else:
            st.subheader("No trial is complete yet")
            st.caption(
                f"{frame_rows:,} ended without a value for every objective; "
                "their states and reasons are below."
            )


def show_command(command: str, does: str) -> None:
    """The shell command that does what the page shows."""
    st.caption(does)
    st.code(command, language="bash")

"""Export result: how an export goes, and what came of it."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard.export_job import Job, State, jobs
from dashboard.frames.exporting import (
    LARGEST_ZIP,
    checks_of,
    files_of,
    report_of,
    what_next,
    zipped,
)
from dashboard.heartbeat import duration

BADGES: dict[State, tuple[str, str]] = {
    "running": ("Writing and checking", ":material/hourglass_top:"),
    "done": ("Written", ":material/check:"),
    "failed": ("Failed", ":material/error:"),
    "cancelled": ("Cancelled", ":material/cancel:"),
}
STARTING = "Loading torch and the run; what the command says appears here."
COLOURS = {"running": "blue", "done": "green", "failed": "red", "cancelled": "orange"}


def show_job(job: Job, run: Path) -> None:
    """State, lines, and once it is over the files, the proof and what to type next."""
    state, request = job.state, job.request
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            words, icon = BADGES[state]
            st.badge(words, icon=icon, color=COLOURS[state])  # pyright: ignore[reportArgumentType]
            of = "" if request.run == run else f" of {request.run.name}"
            seconds = job.seconds if job.seconds is not None else time.time() - job.started_at
            st.text(f"Trial {request.trial}{of}, into {request.to}, {duration(seconds)}")
            if state == "running":
                st.button(
                    "Cancel", icon=":material/close:", key="export_cancel", on_click=job.cancel
                )
            else:
                st.button(
                    "Close", icon=":material/close:", key="export_close", on_click=jobs().forget
                )
        checks = checks_of(request.to) if state in ("done", "failed") else []
        if state != "done" or not checks:
            st.code("\n".join(job.lines) or STARTING, language=None, wrap_lines=True)
        if state == "cancelled":
            st.text(f"What was written until then stays in {request.to}; name another folder now.")
        if checks:
            _checks(checks)
        if state == "done":
            _written(job)


def _checks(checks: list[dict]) -> None:
    passed = sum(check.get("passed") is True for check in checks)
    st.markdown(f"**Checks**: {passed} of {len(checks)} passed")
    table = pd.DataFrame(
        {
            "Result": ["✓ passed" if c.get("passed") is True else "✗ FAILED" for c in checks],
            "Check": [str(c["name"]) for c in checks],
            "Figure": [str(c.get("detail", "")) for c in checks],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "Result": st.column_config.TextColumn(width=90),
            "Check": st.column_config.TextColumn(width=310),
        },
        alt="The checks of the export: result, what was checked, and the figure.",
    )


def _written(job: Job) -> None:
    folder = job.request.to
    files = files_of(folder)
    total = sum(size for _, size in files)
    left, right = st.columns([1, 1.25], gap="medium")
    with left:
        st.markdown("**Written**")
        st.dataframe(
            pd.DataFrame(
                {"File": [name for name, _ in files], "Size": [_size(size) for _, size in files]}
            ),
            hide_index=True,
            alt="The files of the export with their sizes.",
        )
        if not files:
            st.text(f"{folder} is not there any more.")
        elif total <= LARGEST_ZIP:
            st.download_button(
                f"Download as one zip ({_size(total)})",
                lambda: zipped(folder),
                f"{folder.name or 'export'}.zip",
                "application/zip",
                icon=":material/folder_zip:",
                on_click="ignore",
            )
        else:
            st.text(f"{_size(total)} are too much for a download here; they are in:")
            st.code(str(folder.resolve()), language=None)
    with right:
        st.markdown("**What to type next**")
        st.code("\n".join(what_next(folder, job.lines)), language="bash", wrap_lines=True)
        if report := report_of(folder):
            with st.expander("EXPORT.md"):
                st.code(report, language=None, wrap_lines=True, height=420)
    st.caption("The command that wrote it:")
    st.code(shlex.join(["attnas", *job.request.arguments]), language="bash", wrap_lines=True)


def _size(count: int) -> str:
    """`3.2 MiB`."""
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"

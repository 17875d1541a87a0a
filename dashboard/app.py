"""The dashboard: `streamlit run dashboard/app.py -- RUNS_ROOT`, or better `attnas dashboard`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import streamlit as st

from dashboard import selection
from dashboard.app_pages import design, pareto
from dashboard.live import REFRESH, status_panel
from dashboard.loading import runs_under
from dashboard.look import apply_style
from dashboard.messages import show_no_runs, show_run_gone, show_unreadable
from results import RunError


def main() -> None:
    """The run on the left, the page on the right."""
    st.set_page_config("attnas", page_icon=":material/insights:", layout="wide")
    apply_style()
    selection.restore()
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    try:
        runs = runs_under(root)
    except RunError as error:
        show_unreadable(error)
        return
    if not runs:
        _wait_for_runs(root)
        return
    path = _pick_run(runs)
    if path is None:
        show_run_gone(selection.get("run") or "", root)
        return
    design_page = st.Page(
        partial(design.page, path), title="Design", icon=":material/grid_on:", url_path="design"
    )
    pareto_page = st.Page(
        partial(pareto.page, path, design_page),
        title="Pareto",
        icon=":material/scatter_plot:",
        url_path="pareto",
        default=True,
    )
    chosen = st.navigation([pareto_page, design_page])
    with st.sidebar:
        status_panel(path)
    chosen.run()


def _pick_run(runs: dict[str, Path]) -> Path | None:
    """The run that the URL names, else the first; None for one that is not there."""
    names = list(runs)
    asked = selection.get("run")
    index = 0 if asked is None else names.index(asked) if asked in runs else None

    def picked() -> None:
        selection.put("run", st.session_state["run_picker"])
        selection.put("trial", None)  # another run's trials are others

    name = st.sidebar.selectbox("Run", names, index=index, key="run_picker", on_change=picked)
    if name is None or (asked is not None and asked not in runs):
        return None
    selection.put("run", name)
    return runs[name]


@st.fragment(run_every=REFRESH)
def _wait_for_runs(root: Path) -> None:
    show_no_runs(root)
    if runs_under(root):
        st.rerun()


main()

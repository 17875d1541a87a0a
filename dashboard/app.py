"""The dashboard: `streamlit run dashboard/app.py -- RUNS_ROOT`, or better `attnas dashboard`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard import selection
from dashboard.app_pages import (
    compare,
    designs,
    export,
    overview,
    parameters,
    pareto,
    runs,
    timeline,
    trials,
)
from dashboard.frames.run_list import newest
from dashboard.live import REFRESH, status_panel
from dashboard.loading import runs_under
from dashboard.look import apply_style
from dashboard.messages import show_no_runs, show_run_gone, show_unreadable
from dashboard.view import View
from results import RunError

PAGES: dict[str, tuple[ModuleType, str]] = {  # by the path in the URL; the first is the start
    "overview": (overview, ":material/speed:"),
    "pareto": (pareto, ":material/scatter_plot:"),
    "designs": (designs, ":material/grid_on:"),
    "parameters": (parameters, ":material/tune:"),
    "trials": (trials, ":material/table_rows:"),
    "compare": (compare, ":material/compare_arrows:"),
    "timeline": (timeline, ":material/view_timeline:"),
    "export": (export, ":material/download:"),
    "runs": (runs, ":material/folder_open:"),
}
START = "start"  # Streamlit keeps the start page at the root's address, whatever its name


def main() -> None:
    """The run on the left, the page on the right."""
    st.set_page_config("attnas", page_icon=":material/insights:", layout="wide")
    apply_style()
    selection.restore()
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    try:
        found = runs_under(root)
    except RunError as error:
        show_unreadable(error)
        return
    if not found:
        _wait_for_runs(root)
        return
    path = _pick_run(found)
    if path is None:
        show_run_gone(selection.get("run") or "", root)
        return
    pages: dict[str, StreamlitPage] = {}
    view = View(root, path, found, pages)
    for name, (module, icon) in PAGES.items():
        pages[name] = st.Page(
            partial(module.page, view),
            title=name.capitalize(),
            icon=icon,
            url_path=name if pages else START,
            default=not pages,
        )
    chosen = st.navigation([*pages.values(), _start_by_name(view)])
    with st.sidebar:
        status_panel(path)
    chosen.run()


def _start_by_name(view: View) -> StreamlitPage:
    """What a link to the start page's own name opens."""
    name, (module, icon) = next(iter(PAGES.items()))
    page = partial(module.page, view)
    return st.Page(page, title=name.capitalize(), icon=icon, url_path=name, visibility="hidden")


def _pick_run(runs: dict[str, Path]) -> Path | None:
    """The run that the URL names, else the one that was started last; None for one that is gone."""
    names = list(runs)
    asked = selection.get("run")
    first = newest(runs) if asked is None else asked
    index = names.index(first) if first in runs else None

    def picked() -> None:
        selection.put("run", st.session_state["run_picker"])
        selection.forget_run()

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

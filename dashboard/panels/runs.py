"""Run panel: the Compare page's view of several runs side by side."""

from __future__ import annotations

import shlex

import pandas as pd
import streamlit as st

from dashboard import selection
from dashboard.charts import fronts_chart, interval_chart
from dashboard.draw import draw
from dashboard.frames.runs_compared import (
    MOST,
    NAMELESS,
    best_table,
    fronts_table,
    kinds_of_rows,
    run_sheet,
    standing_of,
)
from dashboard.loading import Loaded, open_run
from dashboard.look import palette
from dashboard.messages import show_command
from dashboard.view import View
from results import RunError
from results.several_runs import Standing, common_objectives, config_differences
from results.side_by_side import caveats


def show_runs(loaded: Loaded, view: View) -> None:
    """This run and those chosen beside it."""
    own = next((name for name, path in view.runs.items() if path == view.path), view.path.name)
    chosen = _pick(view, own)
    opened = {own: loaded} | _opened(view, chosen)
    runs = [standing_of(each, name) for name, each in opened.items()]
    if len(runs) == 1:
        st.caption("Choose one or more runs to see them beside this one.")
    else:
        for sentence in caveats(kinds_of_rows(runs)):
            st.warning(sentence, icon=":material/warning:")
        _figures(runs)
        _charts(runs)
        _configurations(opened)
    lines = (f"attnas front {shlex.quote(str(each.path))}" for each in opened.values())
    show_command("\n".join(lines), "Each run's front from a shell:")


def _pick(view: View, own: str) -> list[str]:
    offered = [name for name in view.runs if name != own and "," not in name]
    asked = [name for name in selection.listed("runs") if name in offered][: MOST - 1]
    st.session_state["runs_picker"] = asked

    def picked() -> None:
        selection.put("runs", ",".join(st.session_state["runs_picker"]) or None)

    return st.multiselect(
        "Runs beside this one",
        offered,
        key="runs_picker",
        on_change=picked,
        max_selections=MOST - 1,
        placeholder="Choose runs" if offered else "There is no other run here",
        width=620,
    )


def _opened(view: View, names: list[str]) -> dict[str, Loaded]:
    found = {}
    for name in names:
        try:
            found[name] = open_run(view.runs[name])
        except RunError as error:
            st.text(str(error))
    return found


def _figures(runs: list[Standing]) -> None:
    st.subheader("Figures", anchor=False)
    table = run_sheet(runs)
    st.dataframe(
        table,
        hide_index=True,
        height=38 + 35 * len(table),
        column_config={NAMELESS: "Figure"},
        alt="How far each run got, a column per run.",
    )
    same = bool(common_objectives(runs))
    st.caption(
        "Hypervolume is the share that a run's front dominates of one box around the designs of "
        "all these runs. Intervals are 95%, of a design reported by itself."
        if same
        else "Hypervolumes are not comparable: the runs have different objectives."
    )


def _charts(runs: list[Standing]) -> None:
    found = fronts_table(runs)
    if found is not None:
        st.subheader("Fronts", anchor=False)
        points, x, y = found
        draw(
            fronts_chart(points, x, y, palette()),
            width="stretch",
            key="fronts",
            on_select="rerun",
            selection_mode=["fronts_zoom"],
            alt=f"The fronts of {len(runs)} runs: {y} against {x}.",
        )
    objectives = common_objectives(runs)
    if objectives and any(len(run.report) for run in runs):
        st.subheader("Best of each objective", anchor=False)
        for column, objective in zip(st.columns(len(objectives)), objectives, strict=True):
            table, q = best_table(runs, objective)
            with column:
                draw(
                    interval_chart(table, q, palette()),
                    width="stretch",
                    key=f"best_{objective.column}",
                    alt="; ".join(f"{r.design}: {r.text}" for r in table.itertuples()),
                )


def _configurations(opened: dict[str, Loaded]) -> None:
    st.subheader("Configuration", anchor=False)
    table = config_differences({name: each.run.config for name, each in opened.items()})
    if table.empty:
        st.caption("The runs were configured alike.")
        return
    table.columns = pd.Index([NAMELESS, *opened])
    st.dataframe(
        table,
        hide_index=True,
        height=min(38 + 35 * len(table), 480),
        column_config={NAMELESS: "Key"},
        alt="The keys in which the configurations differ, a column per run.",
    )
    st.caption(f"{len(table)} key{'' if len(table) == 1 else 's'} differ; - is a key not there.")

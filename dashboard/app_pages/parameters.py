"""Parameters page: which values of the designs matter, how they act, and what the front shares."""

from __future__ import annotations

import shlex

import streamlit as st

from dashboard import selection
from dashboard.charts.importance import importance_chart, motif_chart
from dashboard.charts.parallel import PICK, parallel_chart
from dashboard.draw import draw
from dashboard.frames.derived import marked_of, quantities_of, report_under, words_of
from dashboard.frames.derived_axes import axes_of, axes_under, importance_of, motifs_of
from dashboard.frames.parameters import parallel
from dashboard.frames.quantities import Quantity
from dashboard.live import refreshing
from dashboard.loading import Loaded, open_run
from dashboard.look import palette
from dashboard.messages import show_command, show_no_rows
from dashboard.panels.axes import one_axis, two_axes
from dashboard.panels.colour import colour_picker
from dashboard.panels.filters import filter_bar
from dashboard.panels.picking import select, selected
from dashboard.scope import Scope
from dashboard.view import View
from results.design_axes import lower_words
from results.motifs import sentence as motif_sentence

PARALLEL, PICKED = "parallel_chart", "parallel_chart_picked"


def page(view: View) -> None:
    """The whole page; it refreshes while the run is live."""
    st.header("Parameters", anchor=False)
    refreshing(view.path, lambda: _body(open_run(view.path), view))


def _body(loaded: Loaded, view: View) -> None:
    if loaded.report.empty:
        show_no_rows(len(loaded.frame))
        show_command(f"attnas parameters {view.name}", "The same from a shell:")
        return
    kept = filter_bar(loaded)
    by_column = quantities_of(loaded)
    with st.container(horizontal=True, gap="medium"):
        q = _metric(by_column, loaded)
        colour = colour_picker(
            by_column, "Colour of lines", "on the front or not", "parallel_colour", 240
        )
    objectives = [by_column[o.column] for o in loaded.run.objectives]
    axes = axes_of(loaded)
    _parallel(loaded, view, objectives, colour, kept)
    if axes.figures.empty:
        st.text("All designs of this run have the same values: nothing varies that could matter.")
    else:
        _importance(loaded, objectives, q)
        one_axis(loaded, axes, q)
        two_axes(loaded, axes, q)
        _motifs(loaded, kept)
    metric = f" --metric {shlex.quote(q.column)}"
    says = "The same of all designs, from a shell:" if kept else "The same from a shell:"
    show_command(f"attnas parameters {view.name}{metric}", says)


def _metric(by_column: dict[str, Quantity], loaded: Loaded) -> Quantity:
    options = list(by_column)
    asked = selection.get("metric")
    chosen = asked if asked in by_column else loaded.run.objectives[0].column
    column = st.selectbox(
        "Metric",
        options,
        index=options.index(chosen),
        format_func=lambda c: by_column[c].heading,
        key="parameters_metric",
        on_change=lambda: selection.put("metric", st.session_state["parameters_metric"]),
        width=240,
        help="Slices and interactions are of this metric, importance of it and the objectives.",
    )
    return by_column[column]


@st.fragment  # a click draws this part alone again
def _parallel(
    loaded: Loaded,
    view: View,
    objectives: list[Quantity],
    colour: Quantity | None,
    kept: Scope,
) -> None:
    st.subheader("All designs at once", anchor=False)
    report = marked_of(loaded, kept)
    axes = axes_under(loaded, kept)
    chosen = selected()
    data = parallel(report, axes, objectives, colour, kept, chosen)
    drawn = int(data.lines["trial"].nunique())
    count = int(report["kept"].sum())
    st.text(
        f"{drawn:,} of {len(report):,} designs shown, each a line, the front on top. "
        + (f"Pale lines are left out by the filters, which keep {count:,}." if kept else "")
    )
    draw(
        parallel_chart(data, colour, chosen, palette()),
        width="stretch",
        key=PARALLEL,
        on_select=_picked,
        selection_mode=[PICK],
        alt="Designs as lines over " + ", ".join(scale.title for scale in data.scales),
    )
    st.caption(
        "Pointing at a line shows one design, a click selects it. Ranges that the filters keep "
        "are thick on their axes. Values of layers are means over a design's layers."
    )
    _selected(loaded, view)


def _selected(loaded: Loaded, view: View) -> None:
    """The selected trial in a line."""
    trial = selection.trial()
    if trial is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if loaded.row_of(trial) is None:
            st.text(f"This run has no trial {trial}; choose a line.", width="content")
            return
        st.text(f"Trial {trial}: {words_of(loaded, [trial])[0]}", width="content")
        view.link("designs", "Open the design", trial=trial)
        view.link("pareto", "Pareto")
        st.button("Clear", key="parameters_clear", icon=":material/close:", on_click=_nothing)


def _nothing() -> None:
    select([])


def _picked() -> None:
    points = st.session_state[PARALLEL]["selection"].get(PICK, [])
    trials = [int(point["trial"]) for point in points if "trial" in point]
    if trials and trials != st.session_state.get(PICKED):
        select(trials[:1] if len(trials) == 1 else trials, trials[-1])
    st.session_state[PICKED] = trials


def _importance(loaded: Loaded, objectives: list[Quantity], q: Quantity) -> None:
    st.subheader("What matters", anchor=False)
    shown = [q, *(o for o in objectives if o.column != q.column)][:4]
    for place, (column, quantity) in enumerate(zip(st.columns(len(shown)), shown, strict=True)):
        found = importance_of(loaded, quantity.column)
        with column:
            st.text(found.sentence(lower_words(quantity.title)))
            if found.claimed:
                draw(
                    importance_chart(found.axes, palette()),
                    width="stretch",
                    key=f"importance_{place}",
                    alt=f"Importance of each axis for {quantity.title}.",
                )
    st.caption(
        "A forest of trees predicts designs that it has not seen; an axis matters as much as its "
        "shuffled values spoil that, for all layers together. Shares of axes that act together "
        "are counted for each. Filters do not change this: to leave out designs by their results "
        "would bias it."
    )


def _motifs(loaded: Loaded, kept: Scope) -> None:
    st.subheader("What the front has in common", anchor=False)
    under = report_under(loaded, kept)
    table = motifs_of(loaded, kept)
    st.text(motif_sentence(table, int(under["on_front"].sum())))
    if table.empty:
        return
    draw(
        motif_chart(table, palette()),
        width="stretch",
        key="motifs",
        alt="How frequent values and orders of layers are on the front and among all designs.",
    )
    st.caption(
        "Bars are 95% intervals over the designs of the front. Strong rows differ beyond chance, "
        f"counting that {len(table)} motifs were looked at; pale ones may not differ."
        + (" All designs are here all that the filters keep." if kept else "")
    )

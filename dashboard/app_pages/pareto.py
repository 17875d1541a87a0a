"""Pareto page: the trade-offs of a run, what noise allows to say of them, and a selection."""

from __future__ import annotations

import shlex

import streamlit as st

from dashboard import selection
from dashboard.charts import pareto_chart
from dashboard.charts.pareto import BRUSH, PICK, ZOOM, Domain, Mode
from dashboard.draw import draw
from dashboard.frames.derived import (
    kept_of,
    marked_of,
    points_of,
    quantities_of,
    report_under,
    summary_of,
)
from dashboard.frames.points import best_of_two, placeable, places_of
from dashboard.frames.quantities import Quantity
from dashboard.live import refreshing
from dashboard.loading import Loaded, open_run
from dashboard.look import palette
from dashboard.messages import show_command, show_no_rows
from dashboard.panels.colour import colour_picker
from dashboard.panels.filters import filter_bar
from dashboard.panels.front import best_buttons, front_panel, selection_panel
from dashboard.panels.picking import after_click, bounds_in, ranges_of, select, selected, trials_in
from dashboard.scope import Bound, Scope, put_scope, scope
from dashboard.view import View

CHART = "front_chart"
PICKED, BRUSHED, HELD = "front_chart_picked", "front_chart_brushed", "front_chart_domains"
TOO_MANY = "front_chart_too_many"  # designs of a brush that no selection holds
Axes = tuple[Quantity, Quantity, tuple[bool, bool]]


def page(view: View) -> None:
    """The whole page; it refreshes while the run is live."""
    st.header("Pareto", anchor=False)
    refreshing(view.path, lambda: _body(open_run(view.path), view))


def _body(loaded: Loaded, view: View) -> None:
    if len(loaded.frame):
        st.text(summary_of(loaded))
    if loaded.report.empty:
        show_no_rows(len(loaded.frame))
        _unfinished(loaded)
        show_command(f"attnas front {view.name}", "The same from a shell:")
        return
    kept = filter_bar(loaded)
    by_column = quantities_of(loaded)
    axes, colour, mode = _axes(by_column, loaded)
    objectives = [by_column[o.column] for o in loaded.run.objectives]
    under = report_under(loaded, kept)
    left, right = st.columns([1.45, 1], gap="medium")
    with left:
        _chart(loaded, axes, colour, mode, kept)
    with right:
        if under.empty:
            st.text("No design is kept: widen the filters above.")
        else:
            best_buttons(loaded, under, objectives)
            front_panel(loaded, under, objectives, axes[0])
        selection_panel(loaded, view, under)
    condition = f" --where {shlex.quote(kept.condition)}" if kept.condition else ""
    but = ", but of all origins," if kept.sources else ""
    show_command(f"attnas front {view.name}{condition}", f"The same{but} from a shell:")


def _axes(by_column: dict[str, Quantity], loaded: Loaded) -> tuple[Axes, Quantity | None, Mode]:
    """The pickers; the first objective goes up and the second to the right."""
    first, second = (o.column for o in loaded.run.objectives[:2])
    asked = selection.get("log") or ""
    with st.container(horizontal=True, vertical_alignment="top", gap="medium"):
        y = _axis("Vertical axis", "y", first, by_column)
        x = _axis("Horizontal axis", "x", second, by_column)
        colour = colour_picker(by_column, "Colour", "where it came from", "axis_colour", 200)
        log = st.pills(
            "Log scale",
            ["y", "x"],
            selection_mode="multi",
            default=[axis for axis in "yx" if axis in asked],
            format_func=lambda axis: {"x": "horizontal", "y": "vertical"}[axis],
            key="axis_log",
            on_change=_keep_log,
            width="content",
        )
        mode = st.segmented_control(
            "Drag to",
            ["zoom", "select"],
            default="zoom",
            required=True,
            key="front_drag",
            on_change=_switched,
            width="content",
        )
    return (
        (by_column[x], by_column[y], ("x" in log, "y" in log)),
        colour,
        "select" if mode == "select" else "zoom",
    )


def _axis(label: str, name: selection.Name, default: str, by_column: dict[str, Quantity]) -> str:
    options = list(by_column)
    asked = selection.get(name)
    chosen = asked if asked in by_column else default
    return st.selectbox(
        label,
        options,
        index=options.index(chosen),
        format_func=lambda column: by_column[column].heading,
        key=f"axis_{name}",
        on_change=lambda: selection.put(name, st.session_state[f"axis_{name}"]),
        width=200,
    )


def _keep_log() -> None:
    selection.put("log", "".join(sorted(st.session_state["axis_log"])) or None)


def _place() -> tuple[object, ...]:
    """Of which run and axes a zoom or a brush is."""
    axes = (st.session_state.get(f"axis_{name}") for name in ("x", "y", "log"))
    return (selection.get("run"), *map(str, axes))


def _held() -> tuple[Domain | None, Domain | None]:
    """The ranges that were zoomed to on these axes."""
    place, ranges = st.session_state.get(HELD) or (None, (None, None))
    return ranges if place == _place() else (None, None)


def _switched() -> None:
    """What was zoomed to stays in view while a brush selects."""
    zoomed = None
    if CHART in st.session_state and st.session_state["front_drag"] == "select":
        zoomed = ranges_of(st.session_state[CHART]["selection"].get(ZOOM) or {})
    st.session_state[HELD] = zoomed and (_place(), zoomed)
    for name in (BRUSHED, PICKED, TOO_MANY):
        st.session_state.pop(name, None)


def _chart(loaded: Loaded, axes: Axes, colour: Quantity | None, mode: Mode, kept: Scope) -> None:
    x, y, log = axes
    points, total = points_of(loaded, x, y, log, colour, kept)
    if points.empty:
        st.text("No design has a place on these axes; take others or a linear scale.")
        return
    report = placeable(marked_of(loaded, kept), x, y, log)
    chart = pareto_chart(
        points,
        best_of_two(report, x, y),
        x,
        y,
        log=log,
        selected=places_of(report, _designs(loaded, selected()), x, y),
        colours=palette(),
        colour=colour,
        mode=mode,
        domains=_held(),
    )
    draw(
        chart,
        width="stretch",
        key=CHART,
        on_select=lambda: _acted(loaded, axes, kept),
        # Streamlit keeps a zoom only if it is a selection.
        selection_mode=[PICK, ZOOM if mode == "zoom" else BRUSH],
        alt=f"{len(points)} designs: {y.axis} against {x.axis}. The table beside has the front.",
    )
    _too_many()
    _fine_print(loaded, len(points), total, mode)


def _designs(loaded: Loaded, trials: list[int]) -> list[int]:
    """The trials by which the report names these trials' designs: a design has several seeds."""
    rows = (loaded.design_of(trial) for trial in trials)
    return [int(row["trial"]) for row in rows if row is not None]


def _fine_print(loaded: Loaded, drawn: int, total: int, mode: Mode) -> None:
    notes = ["Bars are 95% intervals of the front and the presets; the line joins the best of "]
    notes.append("the two shown. Click selects a design, shift-click several; ")
    notes.append(
        "drag pans, scroll zooms, double click resets."
        if mode == "zoom"
        else "drag selects what is inside, also what is not drawn."
    )
    some = drawn < total
    notes.append(
        f" {drawn:,} of {total:,} designs shown{': all that matter, and a sample' if some else ''}."
    )
    if total < len(loaded.report):
        notes.append(f" {len(loaded.report) - total:,} have no place on these axes.")
    st.caption("".join(notes))


def _acted(loaded: Loaded, axes: Axes, kept: Scope) -> None:
    """A click, a brush, or a zoom, which selects nothing."""
    state = st.session_state[CHART]["selection"]
    picks = [int(point["trial"]) for point in state.get(PICK, []) if "trial" in point]
    before: list[int] = st.session_state.get(PICKED, [])
    if picks != before:
        st.session_state[PICKED] = picks
        if picks:  # a click beside all points is often the end of a drag
            chosen, newest = after_click(before, picks, selected())
            select(chosen, newest)
            return
    ranges = ranges_of(state.get(BRUSH) or {})
    if ranges is not None and ranges != st.session_state.get(BRUSHED):
        _brushed(loaded, bounds_in(ranges, *axes[:2]), kept)
    st.session_state[BRUSHED] = ranges


def _brushed(loaded: Loaded, bounds: list[Bound], kept: Scope) -> None:
    report = loaded.report[kept_of(loaded, kept)]
    inside = trials_in(report, bounds)
    st.session_state[TOO_MANY] = (_place(), len(inside), bounds)
    select(inside if len(inside) <= selection.MOST else [])


def _too_many() -> None:
    """What a brush holds can become bounds; it must where no selection holds it."""
    place, count, bounds = st.session_state.get(TOO_MANY) or (None, 0, [])
    if not count or place != _place():
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        text = f"{count:,} design{' is' if count == 1 else 's are'} in the brush"
        if count > selection.MOST:
            text += f"; a selection holds up to {selection.MOST}: make it a filter"
        st.text(text, width="content")
        st.button("Keep only these", key="front_keep", on_click=lambda: _keep(bounds))


def _keep(bounds: list[Bound]) -> None:
    wanted = scope()
    for bound in bounds:
        wanted = wanted.bounded(bound)
    put_scope(wanted)
    st.session_state.pop(TOO_MANY, None)


def _unfinished(loaded: Loaded) -> None:
    """What ended otherwise, where nothing is complete."""
    if len(loaded.frame):
        shown = loaded.frame[["trial", "state", "reason", "origin"]]
        st.dataframe(shown.tail(200), hide_index=True, alt="Trials with their states and reasons.")

"""Pareto page: the trade-offs of a run, what noise allows to say of them, and one selection."""

from __future__ import annotations

import streamlit as st

from dashboard import selection
from dashboard.cards import trial_card
from dashboard.charts import hypervolume_chart, pareto_chart
from dashboard.charts.pareto import PICK, ZOOM
from dashboard.derived import growth_of, points_of, quantities_of, summary_of, words_of
from dashboard.live import refreshing
from dashboard.loading import Loaded, open_run
from dashboard.look import palette
from dashboard.messages import show_command, show_no_rows
from dashboard.points import front_table, step_line
from dashboard.quantities import Quantity
from dashboard.view import View

CHART, PICKED = "front_chart", "front_chart_picked"
TABLE, TABLE_AGE = "front_table", "front_table_age"


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
    else:
        by_column = quantities_of(loaded)
        x, y, log = _axes(by_column, loaded)
        left, right = st.columns([1.45, 1], gap="medium")
        with left:
            _chart(loaded, x, y, log)
            _growth(loaded)
        with right:
            _table(loaded, [by_column[o.column] for o in loaded.run.objectives], x)
            _card(loaded, view)
    show_command(f"attnas front runs/{loaded.run.path.name}", "The same from a shell:")


def _axes(
    by_column: dict[str, Quantity], loaded: Loaded
) -> tuple[Quantity, Quantity, tuple[bool, bool]]:
    """The pickers; the first objective goes up and the second to the right."""
    first, second = (o.column for o in loaded.run.objectives[:2])
    asked = selection.get("log") or ""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        y = _axis("Vertical axis", "y", first, by_column)
        x = _axis("Horizontal axis", "x", second, by_column)
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
    return by_column[x], by_column[y], ("x" in log, "y" in log)


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
        width=240,
    )


def _keep_log() -> None:
    selection.put("log", "".join(sorted(st.session_state["axis_log"])) or None)


def _chart(loaded: Loaded, x: Quantity, y: Quantity, log: tuple[bool, bool]) -> None:
    points, total = points_of(loaded, x, y, log)
    design = None if (trial := selection.trial()) is None else loaded.design_of(trial)
    chart = pareto_chart(
        points,
        step_line(points, x, y),
        x,
        y,
        log=log,
        selected=None if design is None else int(design["trial"]),
        colours=palette(),
    )
    st.altair_chart(
        chart,
        width="stretch",
        key=CHART,
        on_select=_picked_in_chart,
        selection_mode=[PICK, ZOOM],  # Streamlit keeps a zoom only if it is a selection
        alt=f"{len(points)} designs: {y.axis} against {x.axis}. The table beside has the front.",
    )
    _fine_print(loaded, len(points), total)


def _fine_print(loaded: Loaded, drawn: int, total: int) -> None:
    notes = ["Bars are 95% intervals of the front and the presets; the line joins the best of "]
    notes += ["the two shown. Click selects, drag pans, scroll zooms, double click resets."]
    if drawn < total:
        notes.append(f" {drawn:,} of {total:,} designs drawn: all that matter, and a sample.")
    if total < len(loaded.report):
        notes.append(f" {len(loaded.report) - total:,} have no place on these axes.")
    st.caption("".join(notes))


def _picked_in_chart() -> None:
    points = st.session_state[CHART]["selection"].get(PICK, [])
    if points and points != st.session_state.get(PICKED):  # else it was a zoom
        st.session_state[PICKED] = points
        selection.put_trial(int(points[0]["trial"]))
        # The table's own mark follows only when it is made anew.
        st.session_state[TABLE_AGE] = st.session_state.get(TABLE_AGE, 0) + 1


def _table(loaded: Loaded, objectives: list[Quantity], x: Quantity) -> None:
    table = front_table(loaded.report, objectives, x)
    table["Design"] = words_of(loaded, table["Trial"])
    trials = [int(trial) for trial in table["Trial"]]
    design = None if (trial := selection.trial()) is None else loaded.design_of(trial)
    rows = [] if design is None else [i for i, t in enumerate(trials) if t == design["trial"]]
    key = f"{TABLE}-{st.session_state.get(TABLE_AGE, 0)}-{hash(tuple(trials))}"

    def picked() -> None:
        if chosen := st.session_state[key]["selection"]["rows"]:
            selection.put_trial(trials[chosen[0]])

    st.markdown(f"**The front**: {len(table):,} design{'' if len(table) == 1 else 's'}")
    st.dataframe(
        table,
        hide_index=True,
        key=key,
        on_select=picked,
        selection_mode="single-row",
        selection_default={"selection": {"rows": rows}},
        height=min(38 + 35 * len(table), 318),
        column_config={
            "Knee": st.column_config.TextColumn(width=50),
            "Trial": st.column_config.NumberColumn(width=55),
        }
        | {
            q.heading: st.column_config.NumberColumn(format=_format(q, loaded), width=110)
            for q in objectives
        },
        alt="The designs of the front with their objectives; selecting a row selects its trial.",
    )


def _format(q: Quantity, loaded: Loaded) -> str:
    """Digits for a column of numbers: the smallest one has three."""
    smallest = float(q.scaled(loaded.report[q.column]).abs().min())
    return "%.0f" if smallest >= 100 else "%.1f" if smallest >= 10 else "%.3f"


def _card(loaded: Loaded, view: View) -> None:
    trial = selection.trial()
    if trial is not None:
        trial_card(loaded, trial, view)
    elif loaded.knee is not None:
        st.caption("Nothing is selected: this is the knee, the best bargain of the front.")
        trial_card(loaded, loaded.knee, view)


def _growth(loaded: Loaded) -> None:
    growth = growth_of(loaded)
    if growth["trials"].max() > 1:
        st.markdown("**Search against random**, at equal numbers of trials")
        st.altair_chart(
            hypervolume_chart(growth, palette()),
            width="stretch",
            key="growth",
            alt="Share of the objectives' box dominated, by number of trials, search and random.",
        )


def _unfinished(loaded: Loaded) -> None:
    """What ended otherwise, where nothing is complete."""
    if len(loaded.frame):
        shown = loaded.frame[["trial", "state", "reason", "origin"]]
        st.dataframe(shown.tail(200), hide_index=True, alt="Trials with their states and reasons.")

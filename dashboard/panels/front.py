"""Front panel: the front as a table, the best of it, and what can be done with a selection."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import selection
from dashboard.frames.derived import words_of
from dashboard.frames.points import front_table
from dashboard.frames.quantities import Quantity, quantity
from dashboard.loading import Loaded
from dashboard.panels.cards import trial_card
from dashboard.panels.filters import escaped
from dashboard.panels.picking import select, selected
from dashboard.view import View
from results.design_axes import lower_words

TABLE, SHOWN, AGE = "front_table", "front_table_shown", "front_table_age"


def best_buttons(loaded: Loaded, under: pd.DataFrame, objectives: list[Quantity]) -> None:
    """The best design for each objective and the knee, each one click away."""
    st.markdown("**Best of what is kept**")
    with st.container(horizontal=True, gap="small"):
        for q in objectives:
            values = under[q.column].astype(float)
            place = int(np.argmax(values) if q.objective.direction == "max" else np.argmin(values))
            fitting = quantity(q.column, under.iloc[[place]], [q.objective])
            most = "Highest" if q.objective.direction == "max" else "Lowest"
            _button(
                f"{most} {lower_words(q.title)}: {fitting.text(float(values.iloc[place]))}",
                q.column,
                under,
                place,
            )
        for place in np.flatnonzero(under["knee"].to_numpy(dtype=bool))[:1]:
            _button("The knee", "knee", under, int(place))


def _button(label: str, what: str, under: pd.DataFrame, place: int) -> None:
    trial = int(under["trial"].iloc[place])
    st.button(
        escaped(label),
        key=f"best_of-{what}",
        type="primary" if trial in selected() else "secondary",
        help=f"Select trial {trial}",
        on_click=lambda: select([trial]),
    )


def front_panel(
    loaded: Loaded, under: pd.DataFrame, objectives: list[Quantity], x: Quantity
) -> None:
    """The table of the front; its rows and the chart's rings say the same."""
    table = front_table(under, objectives, x)
    table["Design"] = words_of(loaded, table["Trial"])
    trials = [int(trial) for trial in table["Trial"]]
    chosen = {int(row["trial"]) for row in map(loaded.design_of, selected()) if row is not None}
    rows = [place for place, trial in enumerate(trials) if trial in chosen]
    _renewed((tuple(trials), tuple(rows)))
    key = f"{TABLE}-{st.session_state[AGE]}"

    def picked() -> None:
        now = st.session_state[key]["selection"]["rows"]
        added = [trials[row] for row in now if row not in rows and row < len(trials)]
        elsewhere = chosen - set(trials)
        st.session_state[SHOWN] = (tuple(trials), tuple(sorted(now)))
        kept = elsewhere if rows else set()  # what stands off the table goes with the first row
        select({*kept, *(trials[row] for row in now if row < len(trials))}, (added or [None])[-1])

    st.markdown(f"**The front**: {len(table):,} design{'' if len(table) == 1 else 's'}")
    st.dataframe(
        table,
        hide_index=True,
        key=key,
        on_select=picked,
        selection_mode="multi-row",
        selection_default={"selection": {"rows": rows}},
        height=min(38 + 35 * max(1, len(table)), 318),
        column_config={
            "Knee": st.column_config.TextColumn(width=46),
            "Trial": st.column_config.NumberColumn(width=52),
            "On front": st.column_config.TextColumn(
                width=66, help="The share of draws from the noise in which it is on the front."
            ),
        }
        | {
            q.heading: st.column_config.NumberColumn(format=_format(q, under), width=_width(q))
            for q in objectives
        },
        alt="The designs of the front with their objectives; selecting a row selects its trial.",
    )


def _renewed(shown: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """The table's own marks follow the selection only when it is made anew."""
    if AGE not in st.session_state or st.session_state.get(SHOWN) != shown:
        st.session_state[SHOWN] = shown
        st.session_state[AGE] = st.session_state.get(AGE, 0) + 1


def selection_panel(loaded: Loaded, view: View, under: pd.DataFrame) -> None:
    """What is selected, what can be done with it, and the card of the one that is shown."""
    chosen, trial = selected(), selection.trial()
    if not chosen:
        knee = under.loc[under["knee"].to_numpy(dtype=bool), "trial"]
        if len(knee):
            st.caption("Nothing is selected: this is the knee, the best bargain of the front.")
            trial_card(loaded, int(knee.iloc[0]), view)
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.text(_named(chosen), width="content")
        view.link("compare", "Compare")
        view.link("trials", "Trials")
        view.link("export", "Export")
        st.button("Clear", key="front_clear", icon=":material/close:", on_click=lambda: select([]))
    trial_card(loaded, chosen[-1] if trial is None else trial, view)


def _named(chosen: list[int]) -> str:
    if len(chosen) == 1:
        return f"Trial {chosen[0]} is selected"
    listed = ", ".join(map(str, chosen[:8])) + (" …" if len(chosen) > 8 else "")
    return f"{len(chosen)} designs are selected: {listed}"


def _format(q: Quantity, under: pd.DataFrame) -> str:
    """Digits for a column of numbers: the smallest one has three."""
    smallest = float(q.scaled(under[q.column]).abs().min())
    return "%.0f" if smallest >= 100 else "%.1f" if smallest >= 10 else "%.3f"


def _width(q: Quantity) -> int:
    """Pixels that hold a column's heading."""
    return max(84, 26 + 6 * len(q.heading))

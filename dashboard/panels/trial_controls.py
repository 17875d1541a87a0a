"""Trial controls: search, states, tags, sorting and columns of the table of trials, in the URL."""

from __future__ import annotations

import re

import streamlit as st

from dashboard import selection
from dashboard.frames.trial_rows import Rows, Wanted, standing_of
from dashboard.frames.trial_table import Columns, csv
from dashboard.loading import Loaded
from dashboard.panels.filters import escaped, filter_bar
from results.annotations import Annotations

AGE = "trials_table_age"  # grows when the table's marks must be made anew
FIND_HELP = (
    "Every word must occur in the origin, the reason, the note, a tag, or the design as JSON "
    "(dense, rotary, nope). A number is a trial's number. `window:512` is a design with that value."
)


def filters(loaded: Loaded, notes: Annotations) -> Wanted:
    """The search, the states, the tags, and the bar that other pages have too."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        find = _find()
        states = _states(loaded)
        tag = _tag(notes)
    if notes.damaged:
        many = f"{notes.damaged:,} lines" if notes.damaged > 1 else "One line"
        st.caption(f"{many} of the notes' file can't be read and is left out.")
    scope = filter_bar(loaded)
    only = tuple(checked()) if selection.get("only") == "selected" else ()
    return Wanted(find, states, tag, scope, only)


def _find() -> str:
    st.session_state["trials_find"] = selection.get("find") or ""

    def typed() -> None:
        selection.put("find", st.session_state["trials_find"].strip()[:200] or None)
        selection.put("page", None)

    return st.text_input(
        "Find",
        key="trials_find",
        placeholder="number, origin, reason, note, tag, design",
        icon=":material/search:",
        help=FIND_HELP,
        on_change=typed,
        width=330,
    ).strip()


def _states(loaded: Loaded) -> frozenset[str]:
    counts = standing_of(loaded)["outcome"].value_counts()
    asked = selection.listed("states")
    st.session_state["trials_states"] = [name for name in counts.index if name in asked]

    def picked() -> None:
        selection.put("states", ",".join(st.session_state["trials_states"]) or None)
        selection.put("page", None)

    chosen = st.pills(
        "State",
        list(counts.index),
        selection_mode="multi",
        format_func=lambda name: f"{name} {counts.get(name, 0):,}",
        key="trials_states",
        on_change=picked,
        width="content",
    )
    return frozenset(chosen)


def _tag(notes: Annotations) -> str:
    counts = notes.tags()
    asked = selection.get("tag")
    if not counts:
        return ""
    st.session_state["trials_tag"] = asked if asked in counts else None

    def picked() -> None:
        selection.put("tag", st.session_state["trials_tag"])
        selection.put("page", None)

    chosen = st.pills(
        "Tag",
        list(counts),
        format_func=lambda tag: f":material/label: {escaped(tag)} {counts.get(tag, 0):,}",
        key="trials_tag",
        on_change=picked,
        width="content",
    )
    return chosen or ""


def shown_columns(columns: Columns) -> list[str]:
    """The columns that the URL names, or the usual ones."""
    asked = [n for n in dict.fromkeys(selection.listed("columns")) if n in columns.names]
    return asked or columns.default


def sort_of(columns: Columns) -> tuple[str, bool]:
    """The column that all rows are sorted by, and whether downwards."""
    asked = selection.get("sort") or ""
    name = asked.removeprefix("-")
    return (name, asked.startswith("-")) if name in columns.sortable else ("trial", False)


def toolbar(
    loaded: Loaded, rows: Rows, names: list[str], columns: Columns, notes: Annotations
) -> None:
    """Sorting, columns, the CSV, and what is selected."""
    sort, descending = sort_of(columns)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _sorting(columns, sort, descending)
        with st.popover("Columns", icon=":material/view_column:"):
            _column_picker(columns, names)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", loaded.path.name)[:60]
        st.download_button(
            "CSV",
            lambda: csv(loaded, rows, names, columns, notes),
            f"{name}-trials.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            disabled=not len(rows),
            help=f"All {len(rows):,} trials found, with the columns shown, in base units.",
        )
        _selection_bar(loaded)


def _sorting(columns: Columns, sort: str, descending: bool) -> None:
    st.session_state["trials_sort"] = sort
    st.session_state["trials_down"] = "down" if descending else "up"

    def sorted_by() -> None:
        down = st.session_state["trials_down"] == "down"
        name = st.session_state["trials_sort"]
        is_plain = name == "trial" and not down
        selection.put("sort", None if is_plain else f"{'-' if down else ''}{name}")
        selection.put("page", None)

    st.selectbox(
        "Sort all trials by",
        columns.sortable,
        format_func=lambda name: f"Sort all by {columns.heading(name)}",
        key="trials_sort",
        on_change=sorted_by,
        label_visibility="collapsed",
        width=270,
    )
    st.segmented_control(
        "Order",
        ["up", "down"],
        format_func=lambda way: {"up": ":material/north:", "down": ":material/south:"}[way],
        key="trials_down",
        required=True,
        on_change=sorted_by,
        label_visibility="collapsed",
        width="content",
    )


def _column_picker(columns: Columns, names: list[str]) -> None:
    st.session_state["trials_columns"] = names

    def picked() -> None:
        chosen = st.session_state["trials_columns"]
        is_default = chosen == columns.default or not chosen
        selection.put("columns", None if is_default else ",".join(chosen))

    st.multiselect(
        "Columns, in their order",
        columns.names,
        format_func=columns.heading,
        key="trials_columns",
        on_change=picked,
        width=420,
    )


def _selection_bar(loaded: Loaded) -> None:
    """How many are selected, here or on another page, and what can be done with them."""
    chosen = checked()
    if not chosen:
        return
    st.text(
        f"{len(chosen):,} trial{' is' if len(chosen) == 1 else 's are'} selected", width="content"
    )
    st.session_state["trials_only"] = selection.get("only") == "selected"

    def switched() -> None:
        selection.put("only", "selected" if st.session_state["trials_only"] else None)
        selection.put("page", None)

    st.toggle("Show only these", key="trials_only", on_change=switched, width="content")
    st.button("Clear", icon=":material/close:", key="trials_clear", on_click=_clear)
    if len(chosen) >= selection.MOST:
        st.caption(f"At most {selection.MOST} are selected together.")


def _clear() -> None:
    selection.put_trials([])
    selection.put_trial(None)
    selection.put("only", None)
    st.session_state[AGE] = st.session_state.get(AGE, 0) + 1


def checked() -> list[int]:
    """The trials that are selected: those together, and the one that pages show."""
    trial = selection.trial()
    return sorted({*selection.trials(), *([] if trial is None else [trial])})

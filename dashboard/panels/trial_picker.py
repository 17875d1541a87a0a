"""Trial picker: one trial out of very many, by its number or from those that people look for."""

from __future__ import annotations

from collections.abc import Collection

import streamlit as st

from dashboard import selection
from dashboard.frames.candidates import front_order, neighbours
from dashboard.frames.derived import candidates_of, name_of
from dashboard.loading import Loaded

REFERENCE = -1  # in the list of what a design is compared with: the run's multi-head
TO_PRESS = ":material/chevron_left:", ":material/chevron_right:"


def pick_trial(loaded: Loaded) -> int | None:
    """The trial that is looked at: the selected one, else the knee, else the first."""
    if loaded.frame.empty:
        return None
    asked = selection.trial()
    known = asked is not None and loaded.row_of(asked) is not None
    if asked is not None and not known:
        st.text(f"This run has no trial {asked}.")
    first = int(loaded.frame["trial"].min())
    fallback = first if loaded.knee is None else loaded.knee
    chosen = asked if known and asked is not None else fallback
    before, after = neighbours(loaded, chosen)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _number(loaded, chosen)
        _quick(loaded, chosen)
        _step("Before it on the front", before, 0)
        _step("After it on the front", after, 1)
    return chosen


def known_trials(loaded: Loaded, trials: Collection[int]) -> list[int]:
    """Those of some trials that the run has, in order."""
    if not trials:
        return []
    every = loaded.frame["trial"]
    return sorted({int(trial) for trial in every[every.isin(list(trials))]})


def place_on_front(loaded: Loaded, trial: int) -> str:
    """`3 of 29 on the front`; empty for a design that is not on it."""
    design, order = loaded.design_of(trial), front_order(loaded)
    if design is None or int(design["trial"]) not in order:
        return ""
    return f"{order.index(int(design['trial'])) + 1} of {len(order)} along the front"


def pick_other(loaded: Loaded, reference: str, trial: int) -> int | None:
    """The trial to compare with, None for the reference; `reference` is what that is called."""
    asked = selection.number_of(selection.get("against"))
    if asked is not None and loaded.row_of(asked) is None:
        st.text(f"This run has no trial {asked} to compare with.")
        asked = None
    labels = {REFERENCE: f"Reference: {reference}"} | _labels(loaded)
    labels.pop(trial, None)
    if asked is not None and asked not in labels:
        labels[asked] = f"Trial {asked}"
    st.session_state["against_picker"] = REFERENCE if asked is None else asked

    def picked() -> None:
        chosen = selection.number_of(str(st.session_state["against_picker"]))
        selection.put("against", None if chosen is None else str(chosen))

    st.selectbox(
        "Compared with",
        list(labels),
        key="against_picker",
        format_func=lambda each: labels.get(each, str(each)),
        on_change=picked,
        accept_new_options=True,
        help="Choose one, or type the number of any trial and press Enter.",
        width=520,
    )
    return asked


def add_trial(loaded: Loaded, chosen: list[int], most: int) -> None:
    """Puts another trial among those that are selected together."""
    labels = {t: label for t, label in _labels(loaded).items() if t not in chosen}

    def picked() -> None:
        number = selection.number_of(str(st.session_state["trial_adder"]))
        st.session_state["trial_adder"] = None
        if number is None or number in chosen:
            return
        if loaded.row_of(number) is None:
            st.session_state["trial_adder_missing"] = number
            return
        selection.put_trials([*chosen, number])

    full = len(chosen) >= most
    st.selectbox(
        "Add a trial",
        list(labels),
        index=None,
        key="trial_adder",
        format_func=lambda each: labels.get(each, str(each)),
        on_change=picked,
        accept_new_options=True,
        disabled=full,
        placeholder=f"{most} are compared at once" if full else "Choose one, or type any number",
        width=420,
    )
    missing = st.session_state.pop("trial_adder_missing", None)
    if missing is not None:
        st.text(f"This run has no trial {missing}.")


def _labels(loaded: Loaded) -> dict[int, str]:
    """What is offered; trials that are selected together first."""
    offered = {each.trial: each.label for each in candidates_of(loaded)}
    together = known_trials(loaded, selection.trials())[:40]
    own = {t: f"Selected: {_after_why(offered.get(t, name_of(loaded, t)))}" for t in together}
    return own | {t: label for t, label in offered.items() if t not in own}


def _after_why(label: str) -> str:
    """A label without the reason why it is offered otherwise."""
    return label.split(": ", 1)[-1]


def _number(loaded: Loaded, chosen: int) -> None:
    st.session_state["trial_number"] = chosen  # also when the URL or a chart chose it

    def picked() -> None:
        number = st.session_state["trial_number"]
        if number is not None:
            _select(int(number))

    last = int(loaded.frame["trial"].max())
    st.number_input(
        "Trial", 0, last, step=1, key="trial_number", on_change=picked, width=140,
        help=f"Any number from 0 to {last:,}",
    )  # fmt: skip


def _quick(loaded: Loaded, chosen: int) -> None:
    labels = _labels(loaded)
    st.session_state["trial_quick"] = chosen if chosen in labels else None

    def picked() -> None:
        if (number := st.session_state["trial_quick"]) is not None:
            _select(int(number))

    st.selectbox(
        "Go to",
        list(labels),
        index=None,
        key="trial_quick",
        format_func=lambda trial: labels[trial],
        on_change=picked,
        placeholder="Knee, best of each objective, presets, front",
        width=520,
    )


def _step(label: str, to: int | None, side: int) -> None:
    st.button(
        label,
        icon=TO_PRESS[side],
        icon_position="left" if side == 0 else "right",
        disabled=to is None,
        on_click=_select,
        args=(to,),
        key=f"front_step_{side}",
    )


def _select(trial: int) -> None:
    selection.put_trial(trial)
    selection.put("layer", None)

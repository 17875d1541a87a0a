"""Filters: the bar above pages of many designs that says which are kept, and how many."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.frames.derived import Identity, kept_of, quantities_of
from dashboard.frames.origins import AGAIN, PRESET, RANDOM, SEARCHED
from dashboard.frames.quantities import LOG_SPAN, Quantity, digits
from dashboard.loading import Loaded
from dashboard.scope import Bound, Scope, put_scope, scope, sources_of

MOST_DIGITS = 13  # beyond, a number is spelled out
STOPS = 60  # places where the knob of a slider may stand
MORE = "filter_columns"  # columns that this session added to the bar
SAID, AGE = "filter_said", "filter_age"  # what the widgets say, and how often they were made anew
LABELS = {SEARCHED: "searched", RANDOM: "random", PRESET: "presets", AGAIN: "trained again"}
HELP = (
    "Columns, numbers, + - * /, comparisons, and, or, not; as `attnas front --where` takes it. "
    "Press Enter to apply."
)


def filter_bar(loaded: Loaded) -> Scope:
    """Sliders, origins and a condition; what the page must honour, without what is no condition."""
    asked = scope()
    if asked != st.session_state.get(SAID):  # a link, a brush or Clear changed it: make them anew
        st.session_state[SAID] = asked
        st.session_state[AGE] = st.session_state.get(AGE, 0) + 1
    known = quantities_of(loaded)
    with st.expander("Keep only", icon=":material/filter_alt:"):
        columns = _columns(loaded, asked, known)
        for start in range(0, len(columns), 3):
            places = st.columns(3, gap="large")
            for place, column in zip(places, columns[start : start + 3], strict=False):
                with place:
                    _slider(loaded, known[column], asked)
        left, middle, right = st.columns([1, 1, 1], gap="large")
        with left:
            _adder(loaded, columns, known)
        with middle:
            _origins(loaded, asked)
        with right:
            problem = _condition(loaded, asked)
    usable = replace(asked, where="") if problem else asked
    if asked:
        _summary(loaded, usable, problem, known)
    return usable


def stops(values: pd.Series) -> list[float]:
    """Where a slider's knobs may stand: every value where they are few, else evenly spaced.

    Evenly in logarithms where the values span more than two decades; the ends are exact.
    """
    found = np.unique(values.to_numpy(dtype=np.float64, na_value=np.nan))
    found = found[np.isfinite(found)]
    if len(found) <= STOPS:
        return found.tolist()
    low, high = found[0], found[-1]
    spaced = np.geomspace if low > 0 and high / low > LOG_SPAN else np.linspace
    return [float(low), *(float(v) for v in spaced(low, high, STOPS)[1:-1]), float(high)]


def labelled(places: Iterable[float], q: Quantity, exact: Iterable[float]) -> dict[float, str]:
    """Places and what is written at them; of those that read alike the exact ones stay.

    These have as many digits as it takes to tell them apart.
    """
    kept = sorted(set(exact))
    ordered = sorted({*places, *kept})
    width = ordered[-1] / STOPS - ordered[0] / STOPS or 1.0
    largest = max(abs(ordered[0]), abs(ordered[-1])) or 1.0
    significant = int(np.clip(np.ceil(np.log10(largest / width)) + 1, 3, 9))
    own = [[digits(v / q.scale, more) for v in kept] for more in range(significant, MOST_DIGITS)]
    own.append([repr(value / q.scale) for value in kept])
    apart = next((texts for texts in own if len(set(texts)) == len(kept)), own[-1])
    texts = dict(zip(kept, apart, strict=True))
    taken = {*apart, *(digits(value / q.scale, significant) for value in kept)}
    for value in ordered:
        text = digits(value / q.scale, significant)
        if value not in texts and text not in taken:
            texts[value] = text
            taken.add(text)
    unit = f" {q.unit}" if q.unit else ""
    return {value: f"{texts[value]}{unit}" for value in sorted(texts)}


def said(bound: Bound, q: Quantity | None) -> str:
    """A bound in words: `Accuracy at least 0.5`."""
    if q is None:
        return f"{bound.column[:80]}, which this run does not have"
    parts = [] if bound.low is None else [f"at least {q.text(bound.low)}"]
    parts += [] if bound.high is None else [f"at most {q.text(bound.high)}"]
    return f"{q.title} {' and '.join(parts)}"


def escaped(text: str) -> str:
    """A run's words where a widget would read them as markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~:$=])", r"\\\1", text)


def _columns(loaded: Loaded, asked: Scope, known: dict[str, Quantity]) -> list[str]:
    """The objectives, then what has a bound or was added; only what has two values."""
    wanted = [o.column for o in loaded.run.objectives]
    wanted += [bound.column for bound in asked.bounds]
    wanted += st.session_state.get(MORE, [])
    return [
        column
        for column in dict.fromkeys(wanted)
        if column in known and len(_stops(loaded, column)) > 1
    ]


def _slider(loaded: Loaded, q: Quantity, asked: Scope) -> None:
    """The range of one column; at an end it is open."""
    places = _stops(loaded, q.column)
    bound = asked.bound_of(q.column)
    low, high = bound.low, bound.high
    ends = (places[0], places[-1])
    exact = {*ends, *(end for end in (low, high) if end is not None)}
    texts = labelled(places, q, exact)
    if len(texts) < 2:
        return
    shown = (min(texts) if low is None else low, max(texts) if high is None else high)
    key = _key(q.column)

    def moved() -> None:
        start, end = st.session_state[key]
        start, end = None if start <= ends[0] else start, None if end >= ends[1] else end
        _put(scope().bounded(Bound(q.column, start, end)))

    st.select_slider(
        escaped(q.heading),
        list(texts),
        value=(min(shown), max(shown)),
        format_func=lambda value: texts.get(value, ""),
        key=key,
        on_change=moved,
    )


def _adder(loaded: Loaded, shown: list[str], known: dict[str, Quantity]) -> None:
    varying = _varying(loaded.identity, loaded)
    others = [column for column in known if column in varying and column not in shown]
    key = "filter_adder"

    def added() -> None:
        if (column := st.session_state[key]) is not None:
            st.session_state[MORE] = [*st.session_state.get(MORE, []), column]
            st.session_state[key] = None

    st.selectbox(
        "Add a column",
        others,
        index=None,
        format_func=lambda column: known[column].heading if column in known else str(column),
        placeholder="Any other quantity",
        key=key,
        on_change=added,
    )


def _origins(loaded: Loaded, asked: Scope) -> None:
    """All are on where nothing is left out."""
    present = _sources(loaded.identity, loaded)
    key = _key("from")

    def picked() -> None:
        kept = frozenset(st.session_state[key])
        everything = not kept or kept >= set(present)
        _put(replace(scope(), sources=frozenset() if everything else kept))

    st.pills(
        "Where designs come from",
        present,
        selection_mode="multi",
        default=[name for name in present if name in asked.sources] or present,
        format_func=lambda name: LABELS[str(name)],
        key=key,
        on_change=picked,
    )


def _condition(loaded: Loaded, asked: Scope) -> str:
    """The text as it was typed; what is wrong with it, if anything."""
    key = _key("where")

    def typed() -> None:
        _put(replace(scope(), where=st.session_state[key].strip()))

    st.text_input(
        "Condition",
        asked.where,
        key=key,
        placeholder="kv_cache_bytes < 2e6 and accuracy > 0.5",
        help=HELP,
        on_change=typed,
    )
    if not asked.where:
        return ""
    try:
        kept_of(loaded, asked)
    except ValueError as error:
        return f"The condition is left out: {str(error)[:400]}."
    return ""


def _summary(loaded: Loaded, usable: Scope, problem: str, known: dict[str, Quantity]) -> None:
    """How many are kept and why, and the way back."""
    if problem:
        st.text(problem)
    count = int(kept_of(loaded, usable).sum())
    parts = [said(bound, known.get(bound.column)) for bound in usable.bounds]
    if usable.sources:
        parts.append(" and ".join(LABELS[name] for name in LABELS if name in usable.sources))
    parts += [usable.where[:200]] if usable.where else []
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        reasons = f": {'; '.join(parts)}" if parts else ""
        st.text(f"{count:,} of {len(loaded.report):,} designs kept{reasons}", width="content")
        st.button("Clear", icon=":material/close:", key="filter_clear", on_click=_clear)


def _key(name: str) -> str:
    return f"filter_{name}-{st.session_state.get(AGE, 0)}"


def _put(wanted: Scope) -> None:
    """What a widget says; it stays as it is."""
    put_scope(wanted)
    st.session_state[SAID] = scope()


def _clear() -> None:
    st.session_state[MORE] = []
    put_scope(Scope())


def _stops(loaded: Loaded, column: str) -> list[float]:
    return _stops_of(loaded.identity, column, loaded)


@st.cache_resource(max_entries=64, show_spinner=False)
def _stops_of(identity: Identity, column: str, _loaded: Loaded) -> list[float]:
    return stops(_loaded.report[column])


@st.cache_resource(max_entries=8, show_spinner=False)
def _varying(identity: Identity, _loaded: Loaded) -> set[str]:
    """The columns that have a range to choose from."""
    report = _loaded.report
    return {c for c in quantities_of(_loaded) if report[c].min() < report[c].max()}


@st.cache_resource(max_entries=8, show_spinner=False)
def _sources(identity: Identity, _loaded: Loaded) -> list[str]:
    """Where this run's designs come from."""
    present = set(sources_of(_loaded.report["origin"]))
    return [name for name in LABELS if name in present]

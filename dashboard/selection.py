"""Selection: what is looked at, shared by all pages and kept in the URL.

A switch of pages empties the URL's query, so the session remembers it as well; what the URL
says comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Literal, get_args

import streamlit as st

Name = Literal[
    "run",  # the run that is looked at
    "runs",  # others beside it, joined by commas
    "trial",  # the one trial that pages show
    "trials",  # several, as `3,7-9`
    "keep",  # bounds of columns: see scope.py
    "where",  # a condition, as attnas front --where takes it
    "from",  # origins that are shown, joined by commas
    "states",  # states that are shown, joined by commas
    "tag",  # only trials that bear it
    "find",  # a text to be found in a trial's row
    "x",  # axes of the Pareto page
    "y",
    "colour",
    "log",
    "metric",  # objective of the Parameters page
    "axis",  # one axis of the designs
    "pair",  # two of them, joined by a comma
    "columns",  # of the table of trials, joined by commas
    "sort",  # a column of it; -column downwards
    "only",  # of it, `selected` for the trials selected together
    "curves",  # `log` for learning curves on a log scale
    "page",  # of it, from 1
    "against",  # the trial that a design is compared with
    "layer",  # of the design, from 1
    "target",  # of an export
    "window",  # of the timeline: seconds, and after an @ where they end
    "seek",  # a text to be found in the list of runs
]
NAMES: tuple[Name, ...] = get_args(Name)
MOST = 200  # trials that a selection may hold: it must fit into a URL


def get(name: Name) -> str | None:
    """What the URL, or else the session, says."""
    if name in st.query_params:
        return st.query_params[name]
    return st.session_state.get(f"selected_{name}")


def put(name: Name, value: str | None) -> None:
    """Select something, or nothing; the URL follows."""
    st.session_state[f"selected_{name}"] = value
    if value is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != value:
        st.query_params[name] = value


def restore() -> None:
    """Write what the session remembers back into the URL, after a switch of pages."""
    for name in NAMES:
        put(name, get(name))


def link() -> dict[str, str]:
    """The selection as query parameters, for links between pages."""
    return {name: value for name in NAMES if (value := get(name)) is not None}


def forget_run() -> None:
    """What belongs to one run's trials: another run's are others."""
    for name in ("trial", "trials", "against", "page"):
        put(name, None)


def trial() -> int | None:
    """The selected trial's number."""
    return number_of(get("trial"))


def put_trial(number: int | None) -> None:
    """Select a trial, or none."""
    put("trial", None if number is None else str(number))


def trials() -> list[int]:
    """The trials that are selected together, in order; numbers that are none are left out."""
    found: set[int] = set()
    for part in (get("trials") or "").split(","):
        first, _, last = part.partition("-")
        start, stop = number_of(first), number_of(last or first)
        if start is not None and stop is not None and start <= stop < start + MOST:
            found.update(range(start, stop + 1))
    return sorted(found)[:MOST]


def put_trials(numbers: Iterable[int]) -> None:
    """Select several trials, `MOST` at most: who offers more must say so."""
    put("trials", spelled(sorted(set(numbers))[:MOST]) or None)


def listed(name: Name) -> list[str]:
    """The values of a parameter that joins them by commas."""
    return [part for part in (get(name) or "").split(",") if part]


def spelled(numbers: Iterable[int]) -> str:
    """`3,7-9`, as `trials` reads it."""
    ordered = enumerate(sorted(set(numbers)))
    groups = (list(g) for _, g in groupby(ordered, key=lambda pair: pair[1] - pair[0]))
    parts = ((group[0][1], group[-1][1]) for group in groups)
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def number_of(text: str | None) -> int | None:
    """A trial's number, None for what is none."""
    text = (text or "").strip()
    is_number = text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if is_number else None

"""Selection: what is looked at, shared by all pages and kept in the URL.

A switch of pages empties the URL's query, so the session remembers it as well; what the URL
says comes first.
"""

from __future__ import annotations

from typing import Literal

import streamlit as st

Name = Literal["run", "trial", "x", "y", "log"]
NAMES: tuple[Name, ...] = ("run", "trial", "x", "y", "log")


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


def trial() -> int | None:
    """The selected trial's number."""
    text = get("trial")
    return int(text) if text is not None and text.isdecimal() and len(text) < 19 else None


def put_trial(number: int) -> None:
    """Select a trial."""
    put("trial", str(number))


def link() -> dict[str, str]:
    """The selection as query parameters, for links between pages."""
    return {name: value for name in NAMES if (value := get(name)) is not None}

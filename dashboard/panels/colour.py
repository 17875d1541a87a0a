"""Colour: which figure colours the marks of a chart, on every page that draws many designs."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from dashboard import selection
from dashboard.frames.quantities import Quantity


def colour_picker(
    by_column: Mapping[str, Quantity], label: str, otherwise: str, key: str, width: int
) -> Quantity | None:
    """The chosen figure; None for the colours that the chart has of itself."""
    options = ["", *by_column]
    asked = selection.get("colour") or ""
    chosen = st.selectbox(
        label,
        options,
        index=options.index(asked) if asked in by_column else 0,
        format_func=lambda c: by_column[c].heading if c in by_column else otherwise,
        key=key,
        on_change=lambda: selection.put("colour", st.session_state[key] or None),
        width=width,
    )
    return by_column.get(chosen)

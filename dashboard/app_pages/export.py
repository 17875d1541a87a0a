"""Export page."""

from __future__ import annotations

import streamlit as st

from dashboard.view import View


def page(view: View) -> None:
    """The whole page."""
    st.header("Export", anchor=False)

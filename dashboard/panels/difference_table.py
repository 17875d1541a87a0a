"""Difference table: two designs layer by layer, the rows that differ in colour and in words."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.look import palette


def show_differences(table: pd.DataFrame) -> None:
    """A table as `designs.differences` makes it."""
    only = st.toggle("Only layers that differ", value=True, key="only_differing")
    differs = table["Differs in"] != "nothing"
    shown = table[differs] if only else table
    tint = f"background-color: {palette().random}2e"

    def style(row: pd.Series) -> list[str]:
        return [tint if row["Differs in"] != "nothing" else ""] * len(row)

    st.dataframe(
        shown.style.apply(style, axis=1),
        hide_index=True,
        height=min(38 + 35 * len(shown), 460),
        column_config={"Layer": st.column_config.TextColumn(width="small")},
        alt="Each layer of the design beside the other's, and what differs.",
    )

"""Draw: charts as elements of a page, without checking them against Vega-Lite's schema each time.

The check takes longer than all else that a click costs; tests make it once for every chart.
"""

from __future__ import annotations

from typing import Any, cast

import altair as alt
import streamlit as st

AnyChart = alt.Chart | alt.LayerChart | alt.HConcatChart | alt.VConcatChart | alt.FacetChart


class Unchecked:
    """A chart as Streamlit asks for it."""

    def __init__(self, chart: AnyChart) -> None:
        self._chart = chart

    def to_dict(self) -> dict[str, Any]:
        """The specification, as the chart itself gives it."""
        return self._chart.to_dict(validate=False)


def draw(chart: AnyChart, **how: Any) -> Any:
    """`st.altair_chart`, and quicker."""
    return st.altair_chart(cast(alt.Chart, Unchecked(chart)), **how)

"""Fronts chart: the fronts of several runs on one pair of axes."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.apart import apart
from dashboard.look import Palette


def fronts_chart(points: pd.DataFrame, x: str, y: str, colours: Palette) -> alt.Chart:
    """Columns design (the run), trial, x, y, text; `x` and `y` are the axes' titles."""
    looks = apart(list(dict.fromkeys(points["design"])), colours)
    zoom = alt.selection_interval(name="fronts_zoom", bind="scales")
    return (
        alt.Chart(points)
        .mark_point(filled=True, size=80, opacity=0.85)
        .encode(
            x=alt.X(
                "x:Q",
                title=x,
                scale=alt.Scale(zero=False, padding=14),
                axis=alt.Axis(tickCount=8),
            ),
            y=alt.Y("y:Q", title=y, scale=alt.Scale(zero=False, padding=14)),
            color=looks.colour,
            shape=looks.shape,
            tooltip=[
                alt.Tooltip("design:N", title="Run"),
                alt.Tooltip("trial:Q", title="Trial", format="d"),
                alt.Tooltip("text:N", title="Front"),
            ],
        )
        .add_params(zoom)
        .properties(height=360)
    )

"""Curves: training loss by tokens, a line for each trial."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.apart import apart
from dashboard.look import Palette


def learning_chart(curve: pd.DataFrame, colours: Palette) -> alt.Chart:
    """Training loss by tokens; a line per trial, alike for the trials of a design."""
    looks = apart(list(dict.fromkeys(curve["design"])), colours)
    return (
        alt.Chart(curve)
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("tokens:Q", title="Training tokens", axis=alt.Axis(format="~s", tickCount=6)),
            y=alt.Y(
                "loss:Q",
                title="Training loss",
                scale=alt.Scale(zero=False, padding=8),
                axis=alt.Axis(tickCount=5),
            ),
            color=looks.colour,
            strokeDash=looks.dash,
            detail="line:N",
            tooltip=[
                alt.Tooltip("design:N", title="Design"),
                alt.Tooltip("line:N", title="Trial"),
                alt.Tooltip("tokens:Q", title="Tokens", format=",d"),
                alt.Tooltip("loss:Q", title="Loss", format=".3f"),
            ],
        )
        .properties(height=300)
    )

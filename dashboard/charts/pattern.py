"""Pattern chart: the mask of one attention pattern, drawn from its own formula."""

from __future__ import annotations

import altair as alt
import pandas as pd

SIDE = 256  # pixels: two per cell, so that neighbours meet without a seam


def pattern_chart(cells: pd.DataFrame, length: int, title: str, colour: str) -> alt.Chart:
    """Cells as `mask_cells` gives them: queries downwards, keys to the right, one hue by share."""
    ticks = sorted({0, length // 4, length // 2, 3 * length // 4, length})
    axis = alt.Axis(values=ticks, grid=False, format=",d")
    scale = alt.Scale(domain=[0, length], nice=False)
    return (
        alt.Chart(cells)
        .mark_rect(color=colour, stroke=None)
        .encode(
            x=alt.X("key:Q", title="key position", scale=scale, axis=axis),
            x2="key_end:Q",
            y=alt.Y(
                "query:Q",
                title="query position",
                scale=alt.Scale(domain=[0, length], nice=False, reverse=True),
                axis=axis,
            ),
            y2="query_end:Q",
            opacity=alt.Opacity(
                "share:Q", scale=alt.Scale(domain=[0, 1], range=[0.0, 1.0]), legend=None
            ),
            tooltip=[
                alt.Tooltip("query:Q", title="Queries from", format=",d"),
                alt.Tooltip("query_end:Q", title="up to, not including", format=",d"),
                alt.Tooltip("key:Q", title="Keys from", format=",d"),
                alt.Tooltip("key_end:Q", title="up to, not including", format=",d"),
                alt.Tooltip("share:Q", title="Share of pairs visible", format=".1%"),
            ],
        )
        .properties(
            title=title,
            width=SIDE,
            height=SIDE,
            autosize=alt.AutoSizeParams(type="pad", contains="padding"),
        )
        .interactive()
    )

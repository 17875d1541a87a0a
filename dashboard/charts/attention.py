"""Attention chart: the weights of one head, queries downwards and keys to the right."""

from __future__ import annotations

import altair as alt

from dashboard.frames.map_cells import MapCells
from dashboard.look import Palette

SIDE = 416  # pixels at most; a cell has a whole number of them, so that neighbours meet


def attention_chart(drawn: MapCells, signed: bool, colours: Palette) -> alt.Chart:
    """Cells as `map_cells` gives them; colours by the root of the weight, so small ones show."""
    cell = max(2, SIDE // max(drawn.rows, drawn.columns))
    most = drawn.largest
    if signed:
        domain, shades = [-most, 0, most], [colours.random, colours.paper, colours.searched]
    else:
        domain, shades = [0, most / 4, most], [colours.paper, colours.searched, colours.ink]
    axis = alt.Axis(grid=False, format=",d", tickMinStep=1, tickCount=8)
    ends = drawn.columns * drawn.columns_each, drawn.rows * drawn.queries_each
    return (
        alt.Chart(drawn.cells)
        .mark_rect(stroke=None)
        .encode(
            x=alt.X(
                "key:Q",
                title="looked at",
                scale=alt.Scale(domain=[0, ends[0]], nice=False),
                axis=axis,
            ),
            x2="key_end:Q",
            y=alt.Y(
                "query:Q",
                title="query position",
                scale=alt.Scale(domain=[0, ends[1]], nice=False, reverse=True),
                axis=axis,
            ),
            y2="query_end:Q",
            color=alt.Color(
                "weight:Q",
                scale=alt.Scale(type="sqrt", domain=domain, range=shades, interpolate="rgb"),
                legend=alt.Legend(title="weight", format=".2g", gradientLength=160),
            ),
            tooltip=[
                alt.Tooltip("asking:N", title="Query"),
                alt.Tooltip("seen:N", title="looks at"),
                alt.Tooltip("weight:Q", title="with weight", format=".4f"),
            ],
        )
        .properties(
            width=cell * drawn.columns,
            height=cell * drawn.rows,
            autosize=alt.AutoSizeParams(type="pad", contains="padding"),
        )
    )

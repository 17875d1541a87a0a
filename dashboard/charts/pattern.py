"""Pattern chart: the mask of one attention pattern, drawn from its own formula."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.frames.masks import Region, Span
from dashboard.look import Palette

SIDE = 256  # pixels: two per cell, so that neighbours meet without a seam
ZOOM = "mask_zoom"


def pattern_chart(
    cells: pd.DataFrame,
    region: Region,
    title: list[str],
    colour: str,
    colours: Palette,
    window: int | None = None,
) -> alt.LayerChart | alt.FacetChart:
    """Cells as `mask_cells` gives them: queries downwards, keys to the right, one hue by share.

    The window of the last query is marked below.
    """
    zoom = alt.selection_interval(name=ZOOM, bind="scales")
    x, y = _axis(region.key, "key position"), _axis(region.query, "query position", reverse=True)
    masks = (
        alt.Chart(cells)
        .mark_rect(color=colour, stroke=colour, strokeWidth=0.6, clip=True)
        .encode(
            x=alt.X("key:Q", **x),
            x2="key_end:Q",
            y=alt.Y("query:Q", **y),
            y2="query_end:Q",
            opacity=alt.Opacity(
                "share:Q", scale=alt.Scale(domain=[0, 1], range=[0.3, 1.0]), legend=None
            ),
            strokeOpacity=alt.condition("datum.share > 0.999", alt.value(1), alt.value(0)),
            tooltip=[
                alt.Tooltip("asking:N", title="Queries at"),
                alt.Tooltip("seen:N", title="keys at"),
                alt.Tooltip("share:Q", title="Pairs visible", format=".3~%"),
            ],
        )
        .add_params(zoom)
    )
    layers = [masks]
    if window is not None:
        layers += _window(region, window, colours, x, y)
    return alt.layer(*layers).properties(
        title=alt.TitleParams(title, anchor="start", fontSize=13, limit=SIDE + 40, offset=6),
        width=SIDE,
        height=SIDE,
        autosize=alt.AutoSizeParams(type="pad", contains="padding"),
    )


def _axis(span: Span, title: str, reverse: bool = False) -> dict[str, Any]:
    return {
        "title": title,
        "scale": alt.Scale(domain=list(span), nice=False, reverse=reverse),
        "axis": alt.Axis(
            grid=span[1] - span[0] <= 16, format=",d", tickMinStep=1, tickCount=5, gridOpacity=0.5
        ),
    }


def _window(
    region: Region, window: int, colours: Palette, x: dict[str, Any], y: dict[str, Any]
) -> list[alt.Chart]:
    """How wide the window is, beneath the last query of the region."""
    end = region.query[1]
    start, stop = max(region.key[0], end - window), min(end, region.key[1])
    if start >= stop:
        return []
    mark = pd.DataFrame({"key": [start], "key_end": [stop], "query": [end], "text": ["window"]})
    base = alt.Chart(mark).encode(x=alt.X("key:Q", **x), y=alt.Y("query:Q", **y))
    rule = base.mark_rule(color=colours.ink, strokeWidth=4, clip=True).encode(x2="key_end:Q")
    if start == region.key[0]:  # no room before it for the word
        return [rule]
    word = base.mark_text(color=colours.ink, align="right", dy=-8, dx=-5, fontSize=11, clip=True)
    return [rule, word.encode(text="text:N")]

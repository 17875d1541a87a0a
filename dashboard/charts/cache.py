"""KV-cache chart: bytes per sequence against context, a line per design."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.apart import apart
from dashboard.frames.quantities import BYTE_UNITS
from dashboard.look import Palette

IN_UNITS = (
    "".join(
        f"datum.value >= {size} ? format(datum.value / {size}, '~g') + ' {unit}' : "
        for unit, size in BYTE_UNITS
    )
    + "''"
)


def cache_curve_chart(curves: pd.DataFrame, colours: Palette) -> alt.LayerChart | alt.FacetChart:
    """Curves as `cache_curves` gives them; the first design is the one looked at."""
    names = list(dict.fromkeys(curves["design"]))
    looks = apart(names, colours)
    data = curves[curves["bytes"] > 0]
    base = alt.Chart(data).encode(
        x=alt.X(
            "context:Q",
            title="Context (tokens)",
            scale=alt.Scale(type="log", base=2, nice=False),
            axis=alt.Axis(tickCount=8, format=",d"),
        ),
        y=alt.Y(
            "bytes:Q",
            title="KV cache per sequence",
            scale=alt.Scale(type="log", base=2, nice=False),
            axis=alt.Axis(tickCount=6, labelExpr=IN_UNITS),
        ),
        color=looks.colour,
        tooltip=[
            alt.Tooltip("design:N", title="Design"),
            alt.Tooltip("context:Q", title="Context (tokens)", format=",d"),
            alt.Tooltip("bytes:Q", title="Bytes", format=",d"),
        ],
    )
    lines = base.mark_line(strokeWidth=2.2).encode(strokeDash=looks.dash)
    targets = base.mark_point(size=90, opacity=0)  # for the tooltips: a line is hard to hit
    return alt.layer(lines, targets).properties(height=300)

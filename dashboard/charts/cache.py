"""KV-cache chart: bytes per sequence against context, beside the reference."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.look import Palette
from dashboard.quantities import quantity


def cache_curve_chart(curves: pd.DataFrame, colours: Palette) -> alt.LayerChart | alt.FacetChart:
    """Curves as `cache_curves` gives them; the first design is the one looked at."""
    q = quantity("bytes", curves)
    names = list(dict.fromkeys(curves["design"]))
    data = curves.assign(value=curves["bytes"] / q.scale)
    hues = alt.Scale(domain=names, range=[colours.searched, colours.muted])
    dashes = alt.Scale(domain=names, range=[[1, 0], [5, 4]])
    legend = alt.Legend(title=None, orient="top", labelLimit=320)
    base = alt.Chart(data).encode(
        x=alt.X(
            "context:Q",
            title="Context (tokens)",
            scale=alt.Scale(type="log", base=2, nice=False),
            axis=alt.Axis(tickCount=8, format=",d"),
        ),
        y=alt.Y(
            "value:Q",
            title=f"KV cache per sequence ({q.unit})",
            scale=alt.Scale(type="log", base=2, nice=False),
            axis=alt.Axis(tickCount=6, format="~g"),
        ),
        color=alt.Color("design:N", scale=hues, legend=legend),
        tooltip=[
            alt.Tooltip("design:N", title="Design"),
            alt.Tooltip("context:Q", title="Context (tokens)", format=",d"),
            alt.Tooltip("bytes:Q", title="Bytes", format=",d"),
        ],
    )
    lines = base.mark_line(strokeWidth=2.2).encode(
        strokeDash=alt.StrokeDash("design:N", scale=dashes, legend=legend)
    )
    targets = base.mark_point(size=90, opacity=0)  # for the tooltips: a line is hard to hit
    return alt.layer(lines, targets).properties(height=330)

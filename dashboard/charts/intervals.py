"""Interval chart: one metric of several designs, each a dot with its 95% interval."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.apart import apart
from dashboard.frames.quantities import Quantity
from dashboard.look import Palette


def interval_chart(
    values: pd.DataFrame, q: Quantity, colours: Palette
) -> alt.LayerChart | alt.FacetChart:
    """Columns design, value, low, high, text; value and bounds in the unit of `q`."""
    names = list(dict.fromkeys(values["design"]))
    looks = apart(names, colours, legend=False)
    better = "higher" if q.objective.direction == "max" else "lower"
    title = [q.heading, f"{better} is better"]
    scale = alt.Scale(zero=False, padding=22, nice=True)
    known = values.dropna(subset=["value"])
    base = alt.Chart(known).encode(
        y=alt.Y(
            "design:N",
            title=None,
            sort=names,
            scale=alt.Scale(domain=names),
            axis=alt.Axis(labelLimit=110, ticks=False, grid=False, labelBound=False),
        ),
        color=looks.colour,
        tooltip=[
            alt.Tooltip("design:N", title="Design"),
            alt.Tooltip("text:N", title="Value (95% interval)"),
        ],
    )

    def x(column: str) -> alt.X:
        axis = alt.Axis(tickCount=4)
        return alt.X(f"{column}:Q", scale=scale, title=title, axis=axis)

    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3, opacity=0.5)
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(shape=looks.shape)
    text = base.mark_text(dy=-12, fontSize=11).encode(
        x=x("value"), text="short:N", color=alt.value(colours.ink)
    )
    return alt.layer(
        bars.encode(x=x("low"), x2="high:Q"), dots.encode(x=x("value")), text
    ).properties(height=96 + 36 * len(names))

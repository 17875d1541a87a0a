"""Latency charts: ratios to dense multi-head with their intervals, by length and by phase."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.apart import apart
from dashboard.look import Palette

TITLE = "Time as a ratio to dense multi-head"


def latency_by_length_chart(
    ratios: pd.DataFrame, colours: Palette
) -> alt.LayerChart | alt.FacetChart:
    """One phase's ratios as `latency_ratios` gives them, a line per design; below 1 is faster."""
    looks = apart(list(dict.fromkeys(ratios["design"])), colours)
    lengths = sorted({int(n) for n in ratios["length"]})
    x = alt.X(
        "length:Q",
        title="Length (tokens)",
        scale=alt.Scale(type="log", base=2, nice=False, padding=18),
        axis=alt.Axis(values=lengths, format=",d"),
    )
    y = alt.Y("ratio:Q", title=TITLE, scale=alt.Scale(zero=False, padding=12))
    base = alt.Chart(ratios).encode(x=x, color=looks.colour, tooltip=_tooltip())
    one = alt.Chart(pd.DataFrame({"one": [1.0]})).mark_rule(color=colours.muted, strokeDash=[5, 4])
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2.5, opacity=0.45)
    return alt.layer(
        one.encode(y=alt.Y("one:Q", title=TITLE)),
        bars.encode(y=alt.Y("low:Q", title=TITLE), y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y, strokeDash=looks.dash),
        base.mark_point(filled=True, size=80, opacity=1).encode(y=y),
    ).properties(height=300)


def latency_chart(ratios: pd.DataFrame, colours: Palette) -> alt.LayerChart | alt.FacetChart:
    """Each phase in a row, each design in a row of its own in it; left of the rule is faster."""
    names = list(dict.fromkeys(ratios["design"]))
    looks = apart(names, colours, legend=len(names) > 1)
    scale = alt.Scale(zero=False, padding=14, nice=True)
    phases = list(dict.fromkeys(ratios["what"]))
    inner = 30 if len(names) == 1 else max(15, 24 - 2 * len(names))
    base = alt.Chart(ratios).encode(
        y=alt.Y(
            "what:N",
            title=None,
            sort=phases,
            axis=alt.Axis(labelLimit=220, ticks=False),
            scale=alt.Scale(paddingInner=0.25, paddingOuter=0.15),
        ),
        yOffset=alt.YOffset("design:N", scale=alt.Scale(domain=names)),
        tooltip=_tooltip(),
    )
    one = alt.Chart(pd.DataFrame({"one": [1.0]})).mark_rule(color=colours.muted, strokeDash=[5, 4])
    title = f"{TITLE}; left of 1 is faster"

    def x(column: str) -> alt.X:
        return alt.X(f"{column}:Q", scale=scale, title=title, axis=alt.Axis(tickCount=6))

    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3, opacity=0.5)
    dots = base.mark_point(filled=True, size=90, opacity=1)
    layers = [
        one.encode(x=x("one")),
        bars.encode(x=x("low"), x2="high:Q", color=looks.colour),
        dots.encode(x=x("ratio"), color=looks.colour, shape=looks.shape),
    ]
    if len(names) == 1:
        text = base.mark_text(dy=-13, color=colours.ink).encode(x=x("ratio"), text="text:N")
        layers.append(text)
    height = 70 + len(phases) * (12 + inner * len(names))
    return alt.layer(*layers).properties(height=height)


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("design:N", title="Design"),
        alt.Tooltip("what:N", title="Phase"),
        alt.Tooltip("text:N", title="Ratio (95% interval)"),
    ]

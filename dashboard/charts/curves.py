"""Small charts: hypervolume by trials, learning curves, and latency ratios with intervals."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.look import Palette
from dashboard.origins import RANDOM, SEARCHED


def hypervolume_chart(growth: pd.DataFrame, colours: Palette) -> alt.Chart:
    """How fast searched and random designs cover the box, at equal numbers of trials."""
    kinds = [SEARCHED, RANDOM]
    return (
        alt.Chart(growth)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X(
                "trials:Q",
                title="Complete trials of the kind",
                axis=alt.Axis(tickMinStep=1, format=",d", tickCount=6),
            ),
            y=alt.Y(
                "share:Q",
                title="Hypervolume (share of the box)",
                scale=alt.Scale(zero=False, padding=8),
                axis=alt.Axis(format=".0%", tickCount=5),
            ),
            color=alt.Color(
                "source:N",
                scale=alt.Scale(domain=kinds, range=[colours.searched, colours.random]),
                legend=alt.Legend(title=None, orient="top", symbolType="stroke"),
            ),
            strokeDash=alt.StrokeDash(
                "source:N", scale=alt.Scale(domain=kinds, range=[[1, 0], [5, 3]]), legend=None
            ),
            tooltip=[
                alt.Tooltip("source:N", title="Designs"),
                alt.Tooltip("trials:Q", title="Trials", format=",d"),
                alt.Tooltip("share:Q", title="Hypervolume", format=".1%"),
            ],
        )
        .properties(height=290)
    )


def learning_chart(curve: pd.DataFrame, colours: Palette) -> alt.Chart:
    """Training loss by tokens; one line per trial, the reference's pale."""
    names = list(dict.fromkeys(curve["design"]))
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
            color=alt.Color(
                "design:N",
                scale=alt.Scale(domain=names, range=[colours.searched, colours.muted]),
                legend=alt.Legend(title=None, orient="top", labelLimit=320),
            ),
            opacity=alt.condition(alt.datum.design == names[0], alt.value(1), alt.value(0.5)),
            detail="line:N",
            tooltip=[
                alt.Tooltip("line:N", title="Trial"),
                alt.Tooltip("tokens:Q", title="Tokens", format=",d"),
                alt.Tooltip("loss:Q", title="Loss", format=".3f"),
            ],
        )
        .properties(height=300)
    )


def latency_chart(ratios: pd.DataFrame, colours: Palette) -> alt.LayerChart | alt.FacetChart:
    """Ratios to the reference with their 95% intervals; left of the rule is faster."""
    scale = alt.Scale(zero=False, padding=14, nice=True)
    base = alt.Chart(ratios).encode(
        y=alt.Y("what:N", title=None, axis=alt.Axis(labelLimit=220, ticks=False)),
        tooltip=[alt.Tooltip("what:N", title="Phase"), alt.Tooltip("text:N", title="Ratio")],
    )
    one = alt.Chart(pd.DataFrame({"one": [1.0]})).mark_rule(color=colours.muted, strokeDash=[5, 4])
    bars = base.transform_filter("isValid(datum.low)").mark_rule(
        color=colours.searched, strokeWidth=3, opacity=0.5
    )
    dots = base.mark_point(filled=True, color=colours.searched, size=110, opacity=1)
    labels = base.mark_text(dy=-14, color=colours.ink)
    title = "Time as a ratio to dense multi-head; left of 1 is faster"

    def x(column: str) -> alt.X:
        return alt.X(f"{column}:Q", scale=scale, title=title, axis=alt.Axis(tickCount=6))

    return alt.layer(
        one.encode(x=x("one")),
        bars.encode(x=x("low"), x2="high:Q"),
        dots.encode(x=x("ratio")),
        labels.encode(x=x("ratio"), text="text:N"),
    ).properties(height=90 + 64 * len(ratios))

"""Charts of the Overview: hypervolume as a run goes on, and its front in small."""

from __future__ import annotations

from typing import Literal

import altair as alt
import pandas as pd

from dashboard.frames.origins import PRESET, RANDOM, SEARCHED
from dashboard.frames.points import FRONT
from dashboard.frames.quantities import Quantity
from dashboard.look import Palette

OPEN = "open"  # the selection of the small front, which carries the trial
HEIGHT = 340  # pixels, with axes and legend
NAMES = {SEARCHED: "search", RANDOM: "random designs", PRESET: "presets alone"}


def growth_chart(
    growth: pd.DataFrame, over: Literal["trials", "time"], unit: str, colours: Palette
) -> alt.LayerChart | alt.FacetChart:
    """Share of the box by trials of each kind, or by time; a level for the presets.

    `growth` has `source`, `x`, `share` and `text`.
    """
    kinds = list(NAMES.values())
    growth = growth.assign(kind=growth["source"].map(NAMES))
    title = "Complete trials of the kind" if over == "trials" else f"Time since the start ({unit})"
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=[colours.searched, colours.random, colours.preset]),
        legend=alt.Legend(title=None, orient="top", symbolType="stroke"),
    )
    y = alt.Y(
        "share:Q",
        title="Hypervolume (share of the box)",
        scale=alt.Scale(zero=False, padding=12),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    axis = (
        alt.Axis(tickCount=6, format="~r")
        if over == "time"
        else alt.Axis(tickCount=6, format=",d", tickMinStep=1)
    )
    x = alt.X("x:Q", title=title, axis=axis)
    dash = alt.StrokeDash(
        "kind:N", scale=alt.Scale(domain=kinds, range=[[1, 0], [6, 3], [2, 3]]), legend=None
    )
    tooltip = [
        alt.Tooltip("kind:N", title="Of"),
        alt.Tooltip("text:N", title="After"),
        alt.Tooltip("share:Q", title="Hypervolume", format=".1%"),
    ]
    base = alt.Chart(growth)
    lines = base.transform_filter(f"datum.source != '{PRESET}'").mark_line(
        interpolate="step-after", strokeWidth=2.2, point=alt.OverlayMarkDef(size=14, opacity=0.6)
    )
    level = base.transform_filter(f"datum.source == '{PRESET}'").mark_rule(strokeWidth=2)
    return alt.layer(
        lines.encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=tooltip),
        level.encode(y=y, color=colour, strokeDash=dash, tooltip=[tooltip[0], tooltip[2]]),
    ).properties(height=HEIGHT)


def small_front_chart(
    points: pd.DataFrame, steps: pd.DataFrame, x: Quantity, y: Quantity, colours: Palette
) -> alt.LayerChart | alt.FacetChart:
    """The front by its first two objectives; a click carries a trial to the Pareto page."""
    kinds = [SEARCHED, RANDOM, PRESET]
    shared = {
        "x": alt.X("x:Q", title=x.axis, scale=alt.Scale(zero=False, padding=14, nice=False)),
        "y": alt.Y("y:Q", title=y.axis, scale=alt.Scale(zero=False, padding=14, nice=False)),
    }
    line = alt.Chart(steps).mark_line(
        interpolate="step-after" if x.objective.direction == "min" else "step-before",
        color=colours.muted,
        strokeWidth=1.4,
    )
    stands_out = (alt.datum.status == FRONT) | (alt.datum.source == PRESET)
    marks = (
        alt.Chart(points)
        .mark_point(filled=True, stroke=colours.paper, strokeWidth=0.5)
        .encode(
            **shared,
            color=alt.Color(
                "source:N",
                scale=alt.Scale(
                    domain=kinds, range=[colours.searched, colours.random, colours.preset]
                ),
                legend=alt.Legend(title=None, orient="top", symbolOpacity=1),
            ),
            shape=alt.Shape(
                "source:N",
                scale=alt.Scale(domain=kinds, range=["circle", "diamond", "square"]),
                legend=alt.Legend(title=None, orient="top", symbolOpacity=1),
            ),
            size=alt.when(stands_out).then(alt.value(70)).otherwise(alt.value(18)),
            opacity=alt.when(stands_out).then(alt.value(1)).otherwise(alt.value(0.3)),
            tooltip=[
                alt.Tooltip("trial:Q", title="Trial"),
                alt.Tooltip("words:N", title="Design"),
                alt.Tooltip("y_text:N", title=y.title),
                alt.Tooltip("x_text:N", title=x.title),
                alt.Tooltip("status:N", title="Standing"),
            ],
        )
        .add_params(alt.selection_point(name=OPEN, fields=["trial"], on="click", empty=False))
    )
    return alt.layer(line.encode(**shared), marks).properties(height=HEIGHT)

"""Pareto chart: designs by two quantities, the front as a step line, one click selects."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.look import Palette
from dashboard.origins import PRESET, RANDOM, SEARCHED
from dashboard.points import DOMINATED, FRONT, WITHIN
from dashboard.quantities import Quantity

PICK, ZOOM = "pick", "zoom"


def pareto_chart(
    points: pd.DataFrame,
    steps: pd.DataFrame,
    x: Quantity,
    y: Quantity,
    *,
    log: tuple[bool, bool],
    selected: int | None,
    colours: Palette,
) -> alt.LayerChart | alt.FacetChart:
    """Points as `front_points` gives them; the selection `pick` carries the trial."""
    presets = (points["source"] == PRESET).cumsum()  # names in turn above and below
    points = points.assign(selected=points["trial"] == selected, above=presets % 2 == 1)
    steps = steps.assign(role="best of these two")
    scales = [
        alt.Scale(type="log" if is_log else "linear", zero=False, padding=36, nice=False)
        for is_log in log
    ]
    shared = {
        "x": alt.X("x:Q", title=x.axis, scale=scales[0], axis=alt.Axis(tickCount=7)),
        "y": alt.Y("y:Q", title=y.axis, scale=scales[1], axis=alt.Axis(tickCount=7)),
    }
    base = alt.Chart(points).encode(**shared)
    order = "step-after" if x.objective.direction == "min" else "step-before"
    line = (
        alt.Chart(steps)
        .mark_line(interpolate=order, color=colours.muted, strokeWidth=1.5, opacity=0.75)
        .encode(**shared)
    )
    return alt.layer(
        line,
        *_error_bars(base, colours),
        *_points(base, colours, x, y),
        *_labels(base, colours),
    ).properties(height=560)


def _error_bars(base: alt.Chart, colours: Palette) -> list[alt.Chart]:
    """The 95% intervals, where they are known."""
    bars = base.mark_rule(color=colours.muted, opacity=0.45, strokeWidth=1.2)
    across = bars.transform_filter("isValid(datum.x_low)").encode(x="x_low:Q", x2="x_high:Q")
    along = bars.transform_filter("isValid(datum.y_low)").encode(y="y_low:Q", y2="y_high:Q")
    return [across, along]


def _points(base: alt.Chart, colours: Palette, x: Quantity, y: Quantity) -> list[alt.Chart]:
    """Form and colour say where a design came from, size and strength where it stands."""
    origins = [SEARCHED, RANDOM, PRESET]
    standing = [FRONT, WITHIN, DOMINATED]
    pick = alt.selection_point(name=PICK, fields=["trial"], on="click", empty=False)
    zoom = alt.selection_interval(name=ZOOM, bind="scales")
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1, symbolSize=110)
    standings = alt.Legend(
        title=None,
        orient="bottom",
        symbolType="circle",
        symbolFillColor=colours.muted,
        labelExpr=f"datum.label == '{WITHIN}' ? '{WITHIN} (ringed)' : datum.label",
        labelLimit=240,
    )
    hues = alt.Scale(domain=origins, range=[colours.searched, colours.random, colours.preset])
    forms = alt.Scale(domain=origins, range=["circle", "diamond", "square"])
    sizes = alt.Size(
        "status:N",
        scale=alt.Scale(type="ordinal", domain=standing, range=[130, 75, 36]),
        legend=standings,
    )
    strengths = alt.Opacity(
        "status:N",
        scale=alt.Scale(type="ordinal", domain=standing, range=[1.0, 0.8, 0.42]),
        legend=standings,
    )
    baseline = alt.datum.source == PRESET  # a baseline is seen wherever it stands
    marks = base.mark_point(filled=True, stroke=colours.paper, strokeWidth=0.8).encode(
        color=alt.Color("source:N", scale=hues, legend=legend),
        shape=alt.Shape("source:N", scale=forms, legend=legend),
        size=alt.when(baseline).then(alt.value(120)).otherwise(sizes),
        opacity=alt.when(baseline).then(alt.value(1)).otherwise(strengths),
        tooltip=_tooltips(x, y),
    )
    rings = base.transform_filter(alt.datum.status == WITHIN).mark_point(
        filled=False, color=colours.muted, size=210, strokeWidth=1.4, opacity=0.9
    )
    return [rings, marks.add_params(pick, zoom)]


def _tooltips(x: Quantity, y: Quantity) -> list[alt.Tooltip]:
    """Figures as text: their digits were chosen by their noise."""
    return [
        alt.Tooltip("trial:Q", title="Trial"),
        alt.Tooltip("words:N", title="Design"),
        alt.Tooltip("y_text:N", title=y.title),
        alt.Tooltip("x_text:N", title=x.title),
        alt.Tooltip("status:N", title="Standing"),
        alt.Tooltip("origin:N", title="Origin"),
        alt.Tooltip("seeds:Q", title="Seeds"),
    ]


def _labels(base: alt.Chart, colours: Palette) -> list[alt.Chart]:
    """Names of the presets, the knee, and a ring around what is selected."""
    names = [
        base.transform_filter(f"datum.source == '{PRESET}' && {which}datum.above")
        .mark_text(dy=dy, fontSize=12, stroke=colours.paper, strokeWidth=halo, color=colours.ink)
        .encode(text="name:N")
        for which, dy in (("", -16), ("!", 18))
        for halo in (4, 0)
    ]
    knee = base.transform_filter("datum.knee").mark_text(
        text="knee", align="right", dx=-10, dy=-10, color=colours.ink, fontSize=12, fontWeight=600
    )
    chosen = base.transform_filter("datum.selected").mark_point(
        filled=False, color=colours.ink, size=330, strokeWidth=2.2
    )
    return [*names, knee, chosen]

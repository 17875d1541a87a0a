"""Pareto chart: designs by two quantities, the front as a step line, clicks and brushes select."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import pandas as pd

from dashboard.charts.hues import value_hue
from dashboard.charts.labels import placed
from dashboard.frames.origins import PRESET, RANDOM, SEARCHED
from dashboard.frames.points import DOMINATED, FRONT, WITHIN
from dashboard.frames.quantities import Quantity
from dashboard.look import Palette

PICK, ZOOM, BRUSH = "pick", "zoom", "brush"
Mode = Literal["zoom", "select"]
Domain = tuple[float, float]
MANY = 12  # designs that are selected


def pareto_chart(
    points: pd.DataFrame,
    steps: pd.DataFrame,
    x: Quantity,
    y: Quantity,
    *,
    log: tuple[bool, bool],
    selected: pd.DataFrame | None,
    colours: Palette,
    colour: Quantity | None = None,
    mode: Mode = "zoom",
    domains: tuple[Domain | None, Domain | None] = (None, None),
) -> alt.LayerChart | alt.FacetChart:
    """Points as `front_points` gives them; `selected` are places to be ringed.

    The selection `pick` carries trials, `brush` the ranges of x and y.
    """
    scales = [
        alt.Scale(
            type="log" if is_log else "linear",
            zero=False,
            padding=alt.Undefined if domain else 36,
            nice=False,
            domain=list(domain) if domain else alt.Undefined,
        )
        for is_log, domain in zip(log, domains, strict=True)
    ]
    shared: dict[str, Any] = {
        "x": alt.X("x:Q", title=x.axis, scale=scales[0], axis=alt.Axis(tickCount=7)),
        "y": alt.Y("y:Q", title=y.axis, scale=scales[1], axis=alt.Axis(tickCount=7)),
    }
    base = alt.Chart(points).encode(**shared)
    order = "step-after" if x.objective.direction == "min" else "step-before"
    line = (
        alt.Chart(steps)
        .mark_line(interpolate=order, color=colours.muted, strokeWidth=1.5, opacity=0.75, clip=True)
        .encode(**shared)
    )
    places = pd.DataFrame({"x": [], "y": []}, dtype=float) if selected is None else selected
    many = len(places) > MANY  # rings that would hide one another
    rings = (
        alt.Chart(places)
        .mark_point(
            filled=False,
            color=colours.ink,
            size=100 if many else 330,
            strokeWidth=1.3 if many else 2.2,
            clip=True,
        )
        .encode(**shared)
    )
    return alt.layer(
        line,
        *_error_bars(base, colours),
        *_points(base, colours, x, y, colour, points, mode),
        *_labels(points, shared, log, colours),
        rings,
    ).properties(height=560)


def _error_bars(base: alt.Chart, colours: Palette) -> list[alt.Chart]:
    """The 95% intervals, where they are known."""
    bars = base.mark_rule(color=colours.muted, opacity=0.45, strokeWidth=1.2, clip=True)
    across = bars.transform_filter("isValid(datum.x_low)").encode(x="x_low:Q", x2="x_high:Q")
    along = bars.transform_filter("isValid(datum.y_low)").encode(y="y_low:Q", y2="y_high:Q")
    return [across, along]


def _points(
    base: alt.Chart,
    colours: Palette,
    x: Quantity,
    y: Quantity,
    colour: Quantity | None,
    points: pd.DataFrame,
    mode: Mode,
) -> list[alt.Chart]:
    """Form says where a design came from, size and strength where it stands; colour either."""
    origins = [SEARCHED, RANDOM, PRESET]
    standing = [FRONT, WITHIN, DOMINATED]
    legend = alt.Legend(
        title=None, orient="top", symbolOpacity=1, symbolSize=110, symbolFillColor=colours.muted
    )
    if colour is None:
        legend = alt.Legend(title=None, orient="top", symbolOpacity=1, symbolSize=110)
    standings = alt.Legend(
        title=None,
        orient="bottom",
        symbolType="circle",
        symbolOpacity=0.85,
        symbolFillColor=colours.muted,
        labelExpr=f"datum.label == '{WITHIN}' ? '{WITHIN} (ringed)' : datum.label",
        labelLimit=240,
    )
    forms = alt.Scale(domain=origins, range=["circle", "diamond", "square"])
    sizes = alt.Size(
        "status:N",
        scale=alt.Scale(type="ordinal", domain=standing, range=[130, 75, 36]),
        legend=standings,
    )
    strengths = alt.Opacity(
        "status:N",
        scale=alt.Scale(
            type="ordinal", domain=standing, range=[1, 0.85, 0.42 if colour is None else 0.7]
        ),
        legend=standings,
    )
    baseline = alt.datum.source == PRESET  # a baseline is seen wherever it stands
    tooltip = _tooltips(x, y, colour)
    hue = (
        _origin_hue(colours, legend)
        if colour is None
        else value_hue(
            points["colour"],
            colour,
            colours,
            orient="right",
            gradientLength=240,
            titleLimit=160,
            tickCount=5,
        )
    )
    kept = base.transform_filter("datum.kept")
    marks = kept.mark_point(filled=True, stroke=colours.paper, strokeWidth=0.8, clip=True).encode(
        color=hue,
        shape=alt.Shape("source:N", scale=forms, legend=legend),
        size=alt.when(baseline).then(alt.value(120)).otherwise(sizes),
        opacity=alt.when(baseline).then(alt.value(1)).otherwise(strengths),
        tooltip=tooltip,
    )
    faded = base.transform_filter("!datum.kept").mark_point(
        filled=True, color=colours.muted, clip=True
    )
    faded = faded.encode(
        shape=alt.Shape("source:N", scale=forms, legend=legend),
        size=alt.when(baseline).then(alt.value(90)).otherwise(alt.value(36)),
        opacity=alt.when(baseline).then(alt.value(0.5)).otherwise(alt.value(0.18)),
        tooltip=tooltip,
    )
    rings = kept.transform_filter(alt.datum.status == WITHIN).mark_point(
        filled=False, color=colours.muted, size=210, strokeWidth=1.4, opacity=0.9, clip=True
    )
    pick = alt.selection_point(name=PICK, fields=["trial"], on="click", empty=False)
    drag = (
        alt.selection_interval(name=ZOOM, bind="scales")
        if mode == "zoom"
        else alt.selection_interval(name=BRUSH, encodings=["x", "y"])
    )
    return [faded, rings, marks.add_params(pick, drag)]


def _origin_hue(colours: Palette, legend: alt.Legend) -> alt.Color:
    hues = [colours.searched, colours.random, colours.preset]
    scale = alt.Scale(domain=[SEARCHED, RANDOM, PRESET], range=hues)
    return alt.Color("source:N", scale=scale, legend=legend)


def _tooltips(x: Quantity, y: Quantity, colour: Quantity | None) -> list[alt.Tooltip]:
    """Figures as text: their digits were chosen by their noise."""
    third = [] if colour is None else [alt.Tooltip("colour_text:N", title=colour.title)]
    return [
        alt.Tooltip("trial:Q", title="Trial"),
        alt.Tooltip("words:N", title="Design"),
        alt.Tooltip("y_text:N", title=y.title),
        alt.Tooltip("x_text:N", title=x.title),
        *third,
        alt.Tooltip("status:N", title="Standing"),
        alt.Tooltip("sure:N", title="On the front, of draws from the noise"),
        alt.Tooltip("origin:N", title="Origin"),
        alt.Tooltip("seeds:Q", title="Seeds"),
    ]


def _labels(
    points: pd.DataFrame, shared: dict[str, Any], log: tuple[bool, bool], colours: Palette
) -> list[alt.Chart]:
    """Names of the presets and the knee, apart from one another, with leaders where far."""
    label = points["name"].where(points["source"].eq(PRESET), "")
    both = points["knee"] & label.ne("")
    label = label.where(~both, label + " (knee)").mask(points["knee"] & ~both, "knee")
    matters = points["status"].ne(DOMINATED) & points["kept"] | label.ne("")
    named = placed(points.assign(label=label)[matters], log, points)
    base = alt.Chart(named[["x", "y", "label", "dx", "dy", "far"]]).encode(**shared)
    leaders = (
        base.transform_filter("datum.far")
        .mark_rule(
            color=colours.muted,
            strokeWidth=1,
            clip=True,
            x2Offset=alt.expr("datum.dx * 0.8"),
            y2Offset=alt.expr("datum.dy - 8 * (datum.dy > 0 ? 1 : -1)"),
        )
        .encode(x2="x:Q", y2="y:Q")
    )
    texts = [
        base.mark_text(
            dx=alt.expr("datum.dx"),
            dy=alt.expr("datum.dy"),
            fontSize=12,
            baseline="middle",
            stroke=colours.paper,
            strokeWidth=halo,
            color=colours.ink,
            clip=True,
        ).encode(text="label:N")
        for halo in (4, 0)
    ]
    return [leaders, *texts]

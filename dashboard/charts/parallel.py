"""Parallel chart: one line per design over axes that each have a scale of their own."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.hues import value_hue
from dashboard.frames.parameters import Parallel
from dashboard.frames.quantities import Quantity
from dashboard.look import Palette

PICK = "pick"
HEIGHT = 420
ABOVE = 1.15  # where titles stand, in heights of the axes
LONGEST_TITLE = 22


def parallel_chart(
    data: Parallel, colour: Quantity | None, selected: list[int], colours: Palette
) -> alt.LayerChart | alt.FacetChart:
    """Lines as `parallel` gives them; the selection `pick` carries the trial."""
    x, y = _x(len(data.scales)), _y("height")
    lines = alt.Chart(data.lines).mark_line(interpolate="linear", strokeJoin="round")
    lines = lines.encode(x=x, y=y, detail="trial:N", order="axis:Q")
    hover = alt.selection_point(
        name="hover", on="pointerover", clear="pointerout", fields=["trial"], empty=False
    )
    pick = alt.selection_point(name=PICK, on="click", fields=["trial"], empty=False)
    faded = lines.transform_filter("!datum.kept").encode(
        color=alt.value(colours.muted), opacity=alt.value(0.1), strokeWidth=alt.value(1)
    )
    rest = lines.transform_filter("datum.kept && !datum.front").encode(
        color=_hue(data.lines, colour, colours),
        opacity=alt.value(0.16 if colour is None else 0.4),
        strokeWidth=alt.value(1),
    )
    front = lines.transform_filter("datum.front").encode(
        color=_hue(data.lines, colour, colours),
        opacity=alt.value(0.9),
        strokeWidth=alt.value(1.7),
    )
    chosen = lines.transform_filter(alt.FieldOneOfPredicate("trial", selected)).encode(
        color=alt.value(colours.ink), opacity=alt.value(1), strokeWidth=alt.value(3)
    )
    pointed = (
        lines.encode(
            color=alt.value(colours.ink),
            opacity=alt.when(hover).then(alt.value(1)).otherwise(alt.value(0)),
            strokeWidth=alt.when(hover).then(alt.value(2.6)).otherwise(alt.value(7)),
            tooltip=[alt.Tooltip("trial:Q", title="Trial"), alt.Tooltip("text:N", title="Value")],
        )
        .add_params(hover)
        .add_params(pick)
    )
    return (
        alt.layer(
            *_axes(data, colours), faded, rest, front, chosen, *_ticks(data, colours), pointed
        )
        .properties(height=HEIGHT)
        .configure_view(strokeWidth=0)
    )


def _x(count: int) -> alt.X:
    scale = alt.Scale(domain=[-0.45, count - 0.35], nice=False, zero=False)
    return alt.X("axis:Q", axis=None, scale=scale)


def _y(column: str) -> alt.Y:
    scale = alt.Scale(domain=[-0.04, ABOVE + 0.12], nice=False, zero=False)
    return alt.Y(f"{column}:Q", axis=None, scale=scale)


def _hue(lines: pd.DataFrame, colour: Quantity | None, colours: Palette) -> alt.Color:
    """On the front or not, or a metric in viridis."""
    if colour is None:
        return alt.Color(
            "front:N",
            scale=alt.Scale(domain=[True, False], range=[colours.searched, colours.muted]),
            legend=alt.Legend(
                title=None,
                orient="bottom",
                symbolType="stroke",
                symbolStrokeWidth=3,
                symbolOpacity=1,
                labelExpr="datum.label == 'true' ? 'on the front' : 'other designs'",
            ),
        )
    return value_hue(
        lines["colour"], colour, colours, orient="bottom", gradientLength=260, titleLimit=300
    )


def _axes(data: Parallel, colours: Palette) -> list[alt.Chart]:
    """The axes' rules, and what filters keep of them."""
    frame = pd.DataFrame({"axis": range(len(data.scales)), "low": 0.0, "high": 1.0})
    rules = alt.Chart(frame).mark_rule(color=colours.muted, strokeWidth=1.2)
    bands = alt.Chart(data.bounds).mark_rule(
        color=colours.preset, strokeWidth=9, opacity=0.45, strokeCap="round"
    )
    return [
        chart.encode(x=_x(len(data.scales)), y=_y("low"), y2="high:Q") for chart in (rules, bands)
    ]


def _ticks(data: Parallel, colours: Palette) -> list[alt.Chart]:
    ticks = pd.DataFrame(
        [
            (place, height, text)
            for place, scale in enumerate(data.scales)
            for height, text in scale.places
        ],
        columns=["axis", "height", "text"],
    )
    titles = pd.DataFrame(
        [
            (place, ABOVE, *_two_lines(scale.title), scale.better)
            for place, scale in enumerate(data.scales)
        ],
        columns=["axis", "height", "title", "unit", "better"],
    )
    x, y = _x(len(data.scales)), _y("height")
    base = alt.Chart(ticks).encode(x=x, y=y)
    heads = alt.Chart(titles).encode(x=x, y=y)
    written = [
        base.mark_text(
            align="left", dx=7, fontSize=11, stroke=colours.paper, strokeWidth=halo,
            color=colours.ink,
        ).encode(text="text:N")
        for halo in (4, 0)
    ]  # fmt: skip
    marks = base.mark_tick(color=colours.muted, width=7, thickness=1.2, orient="horizontal")
    heading = heads.mark_text(fontSize=12, fontWeight=600, color=colours.ink, dy=-15)
    under = heads.mark_text(fontSize=11, color=colours.muted)
    return [
        marks,
        *written,
        heading.encode(text="title:N"),
        under.encode(text="unit:N"),
        under.mark_text(fontSize=11, color=colours.muted, dy=14).encode(text="better:N"),
    ]


def _two_lines(title: str) -> tuple[str, str]:
    """A title and what stands below it: its unit, or what follows a comma."""
    head, bracket, unit = title.partition(" (")
    if bracket:
        return head[:LONGEST_TITLE], f"({unit}"
    first, _, rest = title.partition(", ")
    return first[:LONGEST_TITLE], rest

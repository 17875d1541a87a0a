"""Parameter charts: importance of axes, a metric by the values of one and of two, and motifs."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.frames.quantities import Quantity
from dashboard.look import DARK, Palette
from results.design_axes import axis_words

MOST_MOTIFS = 14
ROW = 30  # pixels
BINS_SHOWN = 8


def importance_chart(axes: pd.DataFrame, colours: Palette) -> alt.LayerChart | alt.FacetChart:
    """Axes as `importances` gives them: share of the variance with its 95% interval."""
    frame = axes.head(10).assign(
        name=[axis_words(str(axis)) for axis in axes["axis"].head(10)],
        sure=axes["low"].head(10) > 0,
        low=axes["low"].head(10).clip(lower=0),
        share=axes["share"].head(10).clip(lower=0),
    )
    base = alt.Chart(frame).encode(
        y=alt.Y("name:N", sort=list(frame["name"]), title=None, axis=_names()),
        color=alt.when("datum.sure")
        .then(alt.value(colours.searched))
        .otherwise(alt.value(colours.muted)),
        tooltip=[
            alt.Tooltip("name:N", title="Axis"),
            alt.Tooltip("share:Q", title="Share of the variance", format=".1%"),
            alt.Tooltip("low:Q", title="from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
        ],
    )
    title = "Share of the variance, with 95% interval"
    x = alt.X(
        "share:Q",
        title=title,
        axis=alt.Axis(format=".0%", tickCount=5),
        scale=alt.Scale(zero=True, nice=True),
    )
    bars = base.mark_bar(height=11, cornerRadiusEnd=2, opacity=0.85).encode(x=x)
    spans = base.mark_rule(strokeWidth=2, color=colours.ink).encode(
        x=alt.X("low:Q", title=title), x2="high:Q", color=alt.value(colours.ink)
    )
    return alt.layer(bars, spans).properties(height=60 + ROW * len(frame))


def slice_chart(
    points: pd.DataFrame, means: pd.DataFrame, title: str, q: Quantity, colours: Palette
) -> alt.LayerChart | alt.FacetChart:
    """Designs by one figure, and the metric's mean by group with its 95% interval."""
    across, along = alt.Scale(zero=False, padding=18), alt.Scale(zero=False, padding=14)
    x = alt.X("x:Q", title=title, scale=across, axis=alt.Axis(tickCount=7))
    y = alt.Y("y:Q", title=q.axis, scale=along, axis=alt.Axis(tickCount=6))
    dots = (
        alt.Chart(points)
        .mark_point(filled=True)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "front:N",
                scale=alt.Scale(domain=[True, False], range=[colours.searched, colours.muted]),
                legend=alt.Legend(
                    title=None,
                    orient="top",
                    symbolOpacity=1,
                    labelExpr="datum.label == 'true' ? 'on the front' : 'other designs'",
                ),
            ),
            size=alt.when("datum.front").then(alt.value(80)).otherwise(alt.value(22)),
            opacity=alt.when("datum.front").then(alt.value(0.95)).otherwise(alt.value(0.35)),
            tooltip=[
                alt.Tooltip("trial:Q", title="Trial"),
                alt.Tooltip("x:Q", title=title, format=".3~f"),
                alt.Tooltip("y:Q", title=q.heading, format=".4~g"),
            ],
        )
    )
    base = alt.Chart(means).encode(
        x=alt.X("middle:Q", title=title),
        tooltip=[
            alt.Tooltip("group:N", title=title),
            alt.Tooltip("mean:Q", title=f"Mean {q.heading}", format=".4~g"),
            alt.Tooltip("low:Q", title="from", format=".4~g"),
            alt.Tooltip("high:Q", title="to", format=".4~g"),
            alt.Tooltip("count:Q", title="Designs"),
        ],
    )
    line = base.mark_line(color=colours.ink, strokeWidth=1.5).encode(y="mean:Q")
    spans = base.transform_filter("isValid(datum.low)").mark_rule(
        color=colours.ink, strokeWidth=2.4
    )
    heads = base.mark_point(
        shape="diamond", filled=True, color=colours.ink, stroke=colours.paper, size=120, opacity=1
    ).encode(y="mean:Q")
    return alt.layer(dots, line, spans.encode(y="low:Q", y2="high:Q"), heads).properties(height=380)


def grid_chart(
    cells: pd.DataFrame,
    across: tuple[str, str, list[str]],
    down: tuple[str, str, list[str]],
    q: Quantity,
    colours: Palette,
) -> alt.LayerChart | alt.FacetChart:
    """A metric's mean in each cell: column, title and order of both sides; few designs are pale."""
    frame = cells.assign(shown=cells["mean"].map(lambda v: f"{v:.3g}"))
    frame["note"] = frame["count"].map(lambda n: f"n={n:,}")
    wide = frame[across[0]].nunique()
    base = alt.Chart(frame).encode(
        x=alt.X(
            f"{across[0]}:O",
            title=across[1],
            sort=across[2],
            axis=alt.Axis(labelAngle=0 if wide <= 14 else -40, ticks=False, domain=False),
        ),
        y=alt.Y(
            f"{down[0]}:O",
            title=down[1],
            sort=down[2][::-1],
            axis=alt.Axis(ticks=False, domain=False, labelLimit=150),
        ),
        tooltip=[
            alt.Tooltip(f"{across[0]}:O", title=across[1]),
            alt.Tooltip(f"{down[0]}:O", title=down[1]),
            alt.Tooltip("mean:Q", title=f"Mean {q.heading}", format=".4~g"),
            alt.Tooltip("count:Q", title="Designs", format=",d"),
        ],
    )
    extent = [0.2, 1.0] if colours == DARK else [0.0, 0.95]
    rects = base.mark_rect(cornerRadius=3, stroke=colours.paper, strokeWidth=2).encode(
        color=alt.Color(
            "mean:Q",
            scale=alt.Scale(scheme=alt.SchemeParams(name="viridis", extent=extent), nice=False),
            legend=alt.Legend(title=q.heading, orient="right", gradientLength=160, titleLimit=140),
        ),
        opacity=alt.when("datum.few").then(alt.value(0.3)).otherwise(alt.value(1)),
    )
    half = float((frame["mean"].min() + frame["mean"].max()) / 2)
    ink = (
        alt.when("datum.few")
        .then(alt.value(colours.ink))
        .when(f"datum.mean > {half!r}")
        .then(alt.value("#111111"))
        .otherwise(alt.value("#ffffff"))
    )
    parts = [rects]
    if wide <= BINS_SHOWN:
        parts.append(base.mark_text(dy=-6, fontSize=12).encode(text="shown:N", color=ink))
        parts.append(base.mark_text(dy=9, fontSize=10).encode(text="note:N", color=ink))
    rows = frame[down[0]].nunique()
    return alt.layer(*parts).properties(height=70 + max(2, rows) * 46)


def motif_chart(table: pd.DataFrame, colours: Palette) -> alt.LayerChart | alt.FacetChart:
    """Motifs as `motifs` gives them: share on the front with its interval, and among all."""
    frame = table.head(MOST_MOTIFS)
    base = alt.Chart(frame).encode(
        y=alt.Y("motif:N", sort=list(frame["motif"]), title=None, axis=_names(330)),
        opacity=alt.when("datum.sure").then(alt.value(1)).otherwise(alt.value(0.45)),
        tooltip=[
            alt.Tooltip("motif:N", title="Motif"),
            alt.Tooltip("front:Q", title="On the front", format=".0%"),
            alt.Tooltip("front_low:Q", title="from", format=".0%"),
            alt.Tooltip("front_high:Q", title="to", format=".0%"),
            alt.Tooltip("all:Q", title="Among all", format=".0%"),
            alt.Tooltip("sure:N", title="Differs beyond chance"),
        ],
    )
    title = "Share of designs or of layers"
    axis = alt.Axis(format=".0%", tickCount=5)
    scale = alt.Scale(domain=[0, 1])
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1, symbolSize=110)
    kinds = ["on the front", "among all designs"]
    hues = alt.Scale(domain=kinds, range=[colours.searched, colours.random])
    forms = alt.Scale(domain=kinds, range=["circle", "stroke"])
    spans = base.mark_rule(strokeWidth=2, color=colours.searched).encode(
        x=alt.X("front_low:Q", title=title), x2="front_high:Q"
    )
    dots = base.transform_calculate(kind=f"'{kinds[0]}'").mark_point(filled=True, size=120)
    every = base.transform_calculate(kind=f"'{kinds[1]}'").mark_point(
        size=260, strokeWidth=3, angle=90
    )
    marks = [
        chart.encode(
            x=alt.X(f"{column}:Q", title=title, axis=axis, scale=scale),
            color=alt.Color("kind:N", scale=hues, legend=legend),
            shape=alt.Shape("kind:N", scale=forms, legend=legend),
        )
        for chart, column in ((every, "all"), (dots, "front"))
    ]
    return alt.layer(spans, *marks).properties(height=90 + 27 * len(frame))


def _names(limit: int = 230) -> alt.Axis:
    return alt.Axis(ticks=False, domain=False, labelLimit=limit, labelPadding=8)

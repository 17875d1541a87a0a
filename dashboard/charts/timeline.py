"""Timeline charts: what every worker did when, and how many did what over the whole run."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from dashboard.frames.spans import OTHER, RUNNING, WHOLE
from dashboard.look import Palette

PICK, ZOOM, GO = "pick", "zoom", "go"
TITLE = "Time since the run's first trial began (hours:minutes:seconds)"
CLOCK = "floor(datum.value / 3600000) + ':' + utcFormat(datum.value, '%M:%S')"
LANE, AROUND = 26, 205  # pixels: of a worker, and of legends and axis together
STATES = {  # how a trial ended, where not as it should: the mark at its end
    "failed": "cross",
    "lost": "square",
    "diverged": "diamond",
    "infeasible": "triangle-up",
    "pruned": "triangle-left",
}
SIZES = {  # pixels: what trains is thick, what waits is thin
    "training": 17, "measuring": 17, "scoring": 11, "counting": 11, "starting": 6, "waiting": 6,
    OTHER: 2, WHOLE: 13, RUNNING: 5,
}  # fmt: skip


def phase_colours(colours: Palette) -> dict[str, str]:
    """A colour for whatever a worker does."""
    blue, orange, green, pink, red, sky, _ = colours.families
    by = {"training": blue, "measuring": orange, "scoring": green, "counting": pink}
    return by | {
        "starting": sky,
        "waiting": red,
        OTHER: colours.muted,
        WHOLE: colours.muted,
        RUNNING: colours.ink,
    }


def timeline_chart(
    segments: pd.DataFrame,
    ends: pd.DataFrame,
    away: pd.DataFrame,
    lanes: Sequence[str],
    colours: Palette,
) -> alt.LayerChart | alt.FacetChart:
    """A lane per worker; `segments` and `ends` have times in milliseconds, and `selected`."""
    named = phase_colours(colours)
    x = _clock()
    y = alt.Y(
        "worker:N",
        title=None,
        sort=list(lanes),
        scale=alt.Scale(domain=list(lanes)),
        axis=alt.Axis(labelLimit=170, labelOverlap=False, ticks=False, domain=False, grid=True),
    )
    tooltip = [
        alt.Tooltip("trial:Q", title="Trial"),
        alt.Tooltip("phase:N", title="Doing"),
        alt.Tooltip("took:N", title="For"),
        alt.Tooltip("whole:N", title="Whole trial"),
        alt.Tooltip("state:N", title="Came to"),
        alt.Tooltip("said:N", title="Known of it"),
        alt.Tooltip("origin:N", title="Origin"),
        alt.Tooltip("worker:N", title="Worker"),
    ]
    pick = alt.selection_point(name=PICK, fields=["trial"], on="click", empty=False)
    zoom = alt.selection_interval(name=ZOOM, bind="scales", encodings=["x"])
    bars = (
        alt.Chart(segments)
        .mark_bar(clip=True, cornerRadius=1)
        .encode(
            x=x,
            x2="stop:T",
            y=y,
            color=alt.Color(
                "phase:N",
                scale=alt.Scale(domain=list(named), range=list(named.values())),
                legend=alt.Legend(title=None, orient="top", columns=5, symbolType="square"),
            ),
            size=alt.Size(
                "phase:N",
                scale=alt.Scale(type="ordinal", domain=list(SIZES), range=list(SIZES.values())),
                legend=None,
            ),
            tooltip=tooltip,
        )
        .add_params(pick, zoom)
    )
    chosen = (
        alt.Chart(segments)
        .transform_filter("datum.selected && datum.begin == datum.start")
        .mark_bar(clip=True, filled=False, stroke=colours.ink, strokeWidth=2, size=22)
        .encode(x=x, x2="end:T", y=y)
    )
    marks = (
        alt.Chart(ends)
        .mark_point(filled=True, size=75, color=colours.ink, stroke=colours.paper, clip=True)
        .encode(
            x="stop:T",
            y=y,
            shape=alt.Shape(
                "state:N",
                scale=alt.Scale(domain=list(STATES), range=list(STATES.values())),
                legend=alt.Legend(
                    title=None,
                    orient="bottom",
                    columns=5,
                    symbolFillColor=colours.ink,
                    symbolStrokeColor=colours.paper,
                    labelExpr="datum.label == 'pruned' ? 'stopped at a rung' : datum.label",
                    labelLimit=200,
                ),
            ),
            tooltip=tooltip,
        )
    )
    gone = alt.Chart(away).mark_rect(color=colours.muted, opacity=0.16, clip=True)
    words = alt.Chart(away).mark_text(
        color=colours.muted, fontSize=11, baseline="top", dy=4, clip=True, limit=150
    )
    return (
        alt.layer(
            gone.encode(x="begin:T", x2="stop:T"),
            bars,
            chosen,
            marks,
            words.encode(x="middle:T", y=alt.value(0), text="text:N"),
        )
        .resolve_scale(color="independent", shape="independent")
        .properties(height=max(2, len(lanes)) * LANE + AROUND)
    )


def _clock() -> alt.X:
    """Time as a clock that began with the run; a domain in the spec would undo a zoom."""
    return alt.X(
        "begin:T",
        title=TITLE,
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(tickCount=8, labelExpr=CLOCK, labelOverlap=True),
    )


def use_chart(
    use: pd.DataFrame, window: pd.DataFrame, workers: int, colours: Palette
) -> alt.LayerChart | alt.FacetChart:
    """How many workers did what; the window that is drawn below is framed, a click moves it."""
    named = phase_colours(colours)
    x = _clock()
    bars = (
        alt.Chart(use)
        .mark_rect(clip=True)
        .encode(
            x=x,
            x2="stop:T",
            y=alt.Y(
                "low:Q",
                title="Workers",
                scale=alt.Scale(domain=[0, workers], nice=False, clamp=True),
                axis=alt.Axis(tickMinStep=1, tickCount=4, format="d"),
            ),
            color=alt.Color(
                "phase:N",
                scale=alt.Scale(domain=list(named), range=list(named.values())),
                legend=None,
            ),
            y2="high:Q",
            tooltip=[
                alt.Tooltip("phase:N", title="Doing"),
                alt.Tooltip("workers:Q", title="Workers, on average", format=".2f"),
                alt.Tooltip("when:N", title="When"),
            ],
        )
        .add_params(alt.selection_point(name=GO, fields=["seconds"], on="click", empty=False))
    )
    frame = alt.Chart(window).mark_rect(
        fill=None, stroke=colours.ink, strokeWidth=1.6, strokeDash=[4, 2]
    )
    return alt.layer(bars, frame.encode(x="begin:T", x2="stop:T")).properties(height=170)

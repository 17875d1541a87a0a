"""Layer strip: one column per layer, its query heads grouped by the KV heads that they share."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import altair as alt

from dashboard.frames.strips import COLUMN, TALL, Strip
from dashboard.look import Palette

PICK = "layer_pick"
LABELS = 96  # pixels for the names of the rows


def strip_width(places: int) -> int | None:
    """Pixels of a strip of few layers; None for one that takes all the room there is."""
    return None if places > 8 else LABELS + COLUMN * max(places, 2)


def layer_strip(
    strip: Strip,
    colours: Palette,
    families: Mapping[str, str],
    *,
    selected: int | None = None,
    different: Collection[int] = (),
) -> alt.LayerChart | alt.FacetChart:
    """A strip as `strips_of` gives it; `different` layers are outlined, a click selects one."""
    pick = alt.selection_point(name=PICK, fields=["layer"], on="click", empty=False)
    layers = [
        _outlines(strip, colours, selected, different),
        _heads(strip, families),
        _kv_heads(strip, colours),
        *([] if strip.arcs.empty else _arcs(strip, colours)),
        _texts(strip, colours),
        _targets(strip).add_params(pick),
    ]
    return alt.layer(*layers).properties(
        height=strip.height,
        autosize=alt.AutoSizeParams(type="fit", contains="padding"),
        padding={"left": 0, "right": 4, "top": 2, "bottom": 2},
    )


def _x(strip: Strip, field: str) -> alt.X:
    ends = [0.5, strip.places + 0.5]
    return alt.X(f"{field}:Q", scale=alt.Scale(domain=ends, nice=False), axis=None)


def _y(strip: Strip, field: str) -> alt.Y:
    """Pixels, with the rows' names at the left."""
    names = [f"abs(datum.value - {at}) < 0.01 ? '{name}'" for name, at in strip.rows.items()]
    return alt.Y(
        f"{field}:Q",
        title=None,
        scale=alt.Scale(domain=[0, strip.height], nice=False, reverse=True),
        axis=alt.Axis(
            values=list(strip.rows.values()),
            labelExpr=f"{' : '.join(names)} : ''",
            grid=False,
            ticks=False,
            domain=False,
            labelPadding=4,
            minExtent=LABELS - 12,
            maxExtent=LABELS - 12,
            labelOverlap=False,
        ),
    )


def _outlines(
    strip: Strip, colours: Palette, selected: int | None, different: Collection[int]
) -> alt.LayerChart | alt.FacetChart:
    """The columns' backgrounds: dashes around those that differ, a line around the selected."""
    layers = strip.columns["layer"]
    data = strip.columns.assign(
        left=strip.columns["place"] - 0.47, right=strip.columns["place"] + 0.47
    )
    differs, chosen = layers.isin(list(different)), layers == selected
    return alt.layer(
        *(
            alt.Chart(part)
            .mark_rect(
                cornerRadius=5,
                fill=colours.muted,
                fillOpacity=tint,
                stroke=colours.ink,
                strokeWidth=width,
                strokeDash=dash,
            )
            .encode(x=_x(strip, "left"), x2="right:Q", y=_y(strip, "top"), y2="bottom:Q")
            for part, tint, width, dash in (
                (data[~differs & ~chosen], 0.07, 0, [1, 0]),
                (data[differs & ~chosen], 0.2, 1.4, [4, 3]),
                (data[chosen], 0.07, 2, [1, 0]),
            )
            if len(part)
        )
    )


def _heads(strip: Strip, families: Mapping[str, str]) -> alt.Chart:
    used = [name for name in families if name in set(strip.cells["family"])]
    return (
        alt.Chart(strip.cells)
        .mark_rect(cornerRadius=1.5)
        .encode(
            x=_x(strip, "left"),
            x2="right:Q",
            y=_y(strip, "top"),
            y2="bottom:Q",
            color=alt.Color(
                "family:N",
                scale=alt.Scale(domain=used, range=[families[name] for name in used]),
                legend=None,
            ),
        )
    )


def _kv_heads(strip: Strip, colours: Palette) -> alt.Chart:
    """Filled where the layer makes its keys and values, hollow where it takes another's."""
    fills = alt.Scale(domain=["own", "reused"], range=[colours.ink, "transparent"])
    return (
        alt.Chart(strip.bars)
        .mark_rect(cornerRadius=2, stroke=colours.ink, strokeWidth=1)
        .encode(
            x=_x(strip, "left"),
            x2="right:Q",
            y=_y(strip, "top"),
            y2="bottom:Q",
            fill=alt.Fill("own:N", scale=fills, legend=None),
        )
    )


def _arcs(strip: Strip, colours: Palette) -> list[alt.Chart]:
    """A line over the strip to the layer that gives, with a point at its end."""
    dashes = alt.Scale(domain=["keys and values reused", "tied weights"], range=[[1, 0], [4, 3]])
    lines = (
        alt.Chart(strip.arcs)
        .mark_line(color=colours.ink, strokeWidth=1.4, interpolate="monotone", opacity=0.8)
        .encode(
            x=_x(strip, "place"),
            y=_y(strip, "y"),
            detail="arc:N",
            order="order:Q",
            strokeDash=alt.StrokeDash("what:N", scale=dashes, legend=None),
        )
    )
    ends = (
        alt.Chart(strip.arcs[strip.arcs["order"] == strip.arcs["order"].max()])
        .mark_point(shape="triangle-down", filled=True, color=colours.ink, size=70, opacity=1)
        .encode(x=_x(strip, "place"), y=_y(strip, "y"))
    )
    return [lines, ends]


def _texts(strip: Strip, colours: Palette) -> alt.LayerChart | alt.FacetChart:
    """Layer numbers and the words below the heads, upright where columns are narrow."""
    room = f"width / {strip.places}"  # of a column, as wide as the window has it
    size = 12 if strip.places <= 12 else 11 if strip.places <= 32 else 10
    lying = strip.texts.assign(middle=strip.texts["y"] - 7 * strip.texts["text"].str.count("\n"))
    base = alt.Chart(lying).encode(x=_x(strip, "place"))
    return alt.layer(
        base.transform_filter(f"{room} >= datum.needed")
        .mark_text(color=colours.ink, fontSize=size, lineBreak="\n", baseline="middle")
        .encode(y=_y(strip, "middle"), text="text:N"),
        base.transform_filter(f"{room} < datum.needed")
        .mark_text(color=colours.ink, fontSize=size - 1, angle=270, baseline="middle", limit=TALL)
        .encode(y=_y(strip, "y"), text="upright:N"),
    )


def _targets(strip: Strip) -> alt.Chart:
    """What is clicked and pointed at: the whole column."""
    data = strip.columns.assign(
        left=strip.columns["place"] - 0.5, right=strip.columns["place"] + 0.5
    )
    return (
        alt.Chart(data)
        .mark_rect(fill="transparent", cursor="pointer")
        .encode(
            x=_x(strip, "left"),
            x2="right:Q",
            y=_y(strip, "top"),
            y2="bottom:Q",
            tooltip=[
                alt.Tooltip("layer:Q", title="Layer", format="d"),
                alt.Tooltip("words:N", title="Attention"),
            ],
        )
    )

"""Strip panel: a design's layers drawn, and the one that was clicked."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import altair as alt
import streamlit as st

from dashboard import selection
from dashboard.charts import layer_strip
from dashboard.charts.layers import PICK, strip_width
from dashboard.draw import draw
from dashboard.frames.strips import Strip, families_of, places_of, strips_of
from dashboard.look import Palette, family_colours, palette
from search_space import Design

LEGEND = (
    "A column is a layer, a coloured cell a query head; the bar at its left is the KV head "
    "that a group of them shares."
)
HOLLOW = " Hollow bars and an arc: keys and values are those of the layer that the arc points to."
TIED = " A dashed arc: all weights are that layer's."


def show_strips(
    design: Design,
    key: str,
    *,
    together: Collection[Design] = (),
    different: Collection[int] = (),
    selected: int | None = None,
    can_select: bool = False,
) -> None:
    """A strip per stack; `together` are designs beside it, whose colours and columns it shares."""
    places = max(places_of(each) for each in (design, *together))
    families = frozenset(families_of([design, *together]))
    drawn = _charts(design, places, families, selected, frozenset(different), palette())
    for index, (strip, chart) in enumerate(drawn):
        name = f"{key}_{index}_{selected}"  # anew with each, so that a second click counts
        if strip.title:
            st.caption(f"**{strip.title}**")
        words = zip(strip.columns["layer"], strip.columns["words"], strict=True)
        alt = "; ".join(f"layer {n}: {text}" for n, text in words)[:2000]
        width = strip_width(places) or "stretch"
        if can_select:
            draw(
                chart,
                width=width,
                key=name,
                on_select=lambda name=name: _picked(name),
                selection_mode=[PICK],
                alt=alt,
            )
        else:
            draw(chart, width=width, key=name, alt=alt)


def show_strip_legend(designs: Collection[Design], *, outlined: str = "") -> None:
    """What colours, bars and arcs mean; `outlined` is what others differ from, in our words."""
    layers = [layer for design in designs for layer in design.layers]
    families = family_colours(families_of(designs), palette())
    used = [name for name in families if name in families_of(designs)]
    st.html(_swatches([(families[name], name) for name in used]))
    text = LEGEND
    text += HOLLOW if any(layer.sharing.name == "reused" for layer in layers) else ""
    text += TIED if any(layer.tied for layer in layers) else ""
    text += f" Layers that differ from {outlined}'s have a dashed outline." if outlined else ""
    st.caption(text)


def pick_layer(design: Design) -> int | None:
    """The selected layer, by keyboard as well as by a click; None for all."""
    count = len(design.layers)
    asked = selection.number_of(selection.get("layer"))
    chosen = asked if asked is not None and 1 <= asked <= count else None
    st.session_state["layer_picker"] = chosen or 0

    def picked() -> None:
        number = st.session_state["layer_picker"]
        selection.put("layer", str(number) if number else None)

    st.selectbox(
        "Layer",
        range(count + 1),
        key="layer_picker",
        format_func=lambda n: (
            f"all {count}" if n == 0 else f"{n}: {design.layers[n - 1].describe()}"
        ),
        on_change=picked,
        width=420,
    )
    return chosen


@lru_cache(maxsize=128)  # building a chart takes longer than all else on the page
def _charts(
    design: Design,
    places: int,
    families: frozenset[str],
    selected: int | None,
    different: frozenset[int],
    colours: Palette,
) -> list[tuple[Strip, alt.LayerChart | alt.FacetChart]]:
    hues = family_colours(families, colours)
    return [
        (strip, layer_strip(strip, colours, hues, selected=selected, different=different))
        for strip in strips_of(design, places)
    ]


def _picked(name: str) -> None:
    points = st.session_state[name]["selection"].get(PICK, [])
    if points:
        number = str(int(points[0]["layer"]))
        selection.put("layer", None if selection.get("layer") == number else number)


def _swatches(named: list[tuple[str, str]]) -> str:
    """Colours with their names; both are ours: pattern names are the language's own."""
    parts = (
        f'<span style="white-space:nowrap;margin-right:1.2em"><span style="display:inline-block;'
        f'width:.8em;height:.8em;border-radius:2px;background:{colour};margin-right:.4em">'
        f"</span>{name}</span>"
        for colour, name in named
    )
    return f'<div style="font-size:.875rem">{"".join(parts)}</div>'

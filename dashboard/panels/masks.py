"""Mask panel: every pattern of a design drawn exactly, with more detail where one zooms in."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import altair as alt
import streamlit as st

from dashboard.charts import pattern_chart
from dashboard.charts.pattern import SIDE, ZOOM
from dashboard.draw import draw
from dashboard.frames.masks import (
    MASK_CELLS,
    Region,
    distinct_patterns,
    mask_cells,
    mask_lengths,
    visible_text,
    window_of,
)
from dashboard.frames.strips import families_of
from dashboard.look import Palette, family_colours, palette
from search_space import Design, Kind, Pattern

MOST_MASKS = 12
SQUARE, FROM_START = "the same", "the first ones"


def show_masks(design: Design, layer: int | None) -> None:
    """The masks of all layers, or of one."""

    @st.fragment  # a zoom draws the masks again and nothing else
    def part() -> None:
        region = _region(design.context)
        patterns = distinct_patterns(design, layer)
        colours = family_colours(families_of([design]), palette())
        row = st.container(horizontal=True, gap="medium")
        for pattern, kind, where in patterns[:MOST_MASKS]:
            with row.container(width=SIDE + 76, gap="small"):
                _mask(pattern, kind, where, region, design.context, colours[pattern.name])
        left_out = len(patterns) - MOST_MASKS
        if left_out > 0:
            st.caption(f"{left_out} more patterns: select a layer to see its own.")
        st.caption(
            "Coloured pairs are visible; paler blocks are visible in part. Scroll to zoom in, drag "
            "to pan, double click to go back: close up, a cell is one query and one key. The bar "
            "below is the window of the last query."
        )

    part()


def _region(context: int) -> Region:
    """Which positions are drawn, as the reader asks."""
    lengths = mask_lengths(context)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        length = st.segmented_control(
            "Positions",
            lengths,
            default=lengths[-1],
            format_func=lambda n: "all" if n == context else f"{n:,}",
            key=f"mask_length_{context}",
            required=True,
        )
        length = lengths[-1] if length is None else length
        last = context - length
        start = 0
        keys = SQUARE
        if last > 0:
            start = st.number_input(
                "From position", 0, last, 0, step=max(1, length // 4),
                key=f"mask_start_{context}_{length}", width=150,
            )  # fmt: skip
        if start > 0:
            keys = st.segmented_control(
                "Keys", [SQUARE, FROM_START], default=SQUARE, key="mask_keys", required=True
            )
    own = Region.square(int(start), length)
    return own if keys != FROM_START else Region(own.query, (0, length))


@lru_cache(maxsize=128)  # building a chart takes longer than counting its cells
def _chart(
    pattern: Pattern,
    kind: Kind,
    where: str,
    region: Region,
    detail: Region,
    cells: int,
    colour: str,
    colours: Palette,
) -> alt.LayerChart | alt.FacetChart:
    return pattern_chart(
        mask_cells(pattern, detail, kind, cells),
        region,
        [pattern.describe(), where],
        colour,
        colours,
        window_of(pattern),
    )


def _mask(
    pattern: Pattern, kind: Kind, where: str, region: Region, context: int, colour: str
) -> None:
    key = f"mask_{pattern!r}_{kind}_{region}"
    detail, cells = region, MASK_CELLS
    zoom: Any = st.session_state.get(key, {})
    zoom = zoom.get("selection", {}).get(ZOOM, {}) if zoom else {}
    if zoom and region.side > MASK_CELLS:
        detail, cells = region.around(zoom), 4 * MASK_CELLS
    visible = f"{visible_text(pattern, context, kind)} visible"
    draw(
        _chart(pattern, kind, where, region, detail, cells, colour, palette()),
        width="content",
        key=key,
        on_select="rerun",
        selection_mode=[ZOOM],
        alt=f"The mask of {pattern.describe()}, {where}: {visible}.",
    )
    st.caption(f"{visible} at the full context of {context:,}")

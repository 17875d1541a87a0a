"""Layer strip: one column per layer, from the first to the last."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.look import Palette, family_colours

WIDE = 16  # layers whose pattern can be spelled out within a column
ROWS = ["Pattern", "Query : KV heads", "Head dimension"]
MORE = "Besides"  # only where some layer is out of the ordinary


def layer_strip(layers: pd.DataFrame, colours: Palette) -> alt.LayerChart | alt.FacetChart:
    """Layers as `layer_rows` gives them; the pattern's family is the colour."""
    families = family_colours(layers["family"], colours)
    wide = len(layers) <= WIDE
    short = layers["pattern"] if wide else layers["pattern"].str.replace("window ", "w ")
    rows = dict(
        zip(ROWS, [(short, 0.42), (layers["heads"], 0.16), (layers["dim"], 0.06)], strict=True)
    )
    if layers["more"].any():
        rows[MORE] = (layers["more"], 0.06)
    parts = [
        layers.assign(row=row, value=value.map(_lines), tint=tint)
        for row, (value, tint) in rows.items()
    ]
    base = alt.Chart(pd.concat(parts, ignore_index=True)).encode(
        x=alt.X(
            "layer:O",
            title="Layer",
            axis=alt.Axis(
                orient="top",
                labelAngle=0,
                ticks=False,
                domain=False,
                titlePadding=4,
                labelPadding=4,
            ),
            scale=alt.Scale(paddingInner=0.06),
        ),
        y=alt.Y(
            "row:N",
            title=None,
            sort=list(rows),
            axis=alt.Axis(ticks=False, domain=False, labelLimit=160),
            scale=alt.Scale(paddingInner=0.08),
        ),
        tooltip=[
            alt.Tooltip("layer:O", title="Layer"),
            alt.Tooltip("words:N", title="Attention"),
        ],
    )
    used = {name: families[name] for name in families if name in set(layers["family"])}
    cells = base.mark_rect(cornerRadius=4).encode(
        color=alt.Color(
            "family:N",
            scale=alt.Scale(domain=list(used), range=list(used.values())),
            legend=None,
        ),
        opacity=alt.Opacity("tint:Q", scale=None, legend=None),
    )
    text = base.mark_text(
        color=colours.ink,
        fontSize=12 if wide else 10,
        angle=0 if wide or len(layers) <= 2 * WIDE else 270,
        lineBreak="\n",
        baseline="middle",
    ).encode(text="value:N")
    return alt.layer(cells, text).properties(height=62 * len(rows))


def _lines(text: str) -> str:
    """Words under one another where one line would not fit the column."""
    return text.replace(", ", "\n").replace(" and ", "\nand ").replace(" + ", "\n+ ")

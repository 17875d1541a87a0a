"""Apart: colours, dashes and shapes that tell up to eight designs from one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from dashboard.look import Palette

DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3], [10, 4], [4, 2, 1, 2, 1, 2], [3, 6])
SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
)


@dataclass(frozen=True, slots=True)
class Apart:
    """One legend for colour and dash, or colour and shape, of the same designs in every chart."""

    colour: alt.Color
    dash: alt.StrokeDash
    shape: alt.Shape


def apart(names: Sequence[str], colours: Palette, *, legend: bool = True) -> Apart:
    """The first design is the one looked at and has the strongest colour."""
    hues = (*colours.families[:6], colours.muted, colours.ink)
    kept = range(len(names))
    box = (
        alt.Legend(title=None, orient="top", labelLimit=300, columns=3, symbolStrokeWidth=2)
        if legend
        else None
    )
    return Apart(
        alt.Color(
            "design:N",
            scale=alt.Scale(domain=list(names), range=[hues[i % len(hues)] for i in kept]),
            legend=box,
        ),
        alt.StrokeDash(
            "design:N",
            scale=alt.Scale(domain=list(names), range=[DASHES[i % len(DASHES)] for i in kept]),
            legend=box,
        ),
        alt.Shape(
            "design:N",
            scale=alt.Scale(domain=list(names), range=[SHAPES[i % len(SHAPES)] for i in kept]),
            legend=box,
        ),
    )

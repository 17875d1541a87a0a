"""Hues: the colour of a figure, on a scale that any eyes can read."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.frames.quantities import LOG_SPAN, Quantity
from dashboard.look import DARK, Palette


def value_hue(values: pd.Series, colour: Quantity, colours: Palette, **legend: Any) -> alt.Color:
    """Viridis for the column `colour`, without its end that the paper swallows."""
    values = values.dropna()
    is_log = len(values) > 0 and values.min() > 0 and values.max() / values.min() > LOG_SPAN
    extent = [0.22, 1.0] if colours == DARK else [0.0, 0.9]
    return alt.Color(
        "colour:Q",
        scale=alt.Scale(
            type="log" if is_log else "linear",
            scheme=alt.SchemeParams(name="viridis", extent=extent),
            nice=False,
        ),
        legend=alt.Legend(title=colour.heading, gradientOpacity=1, **legend),
    )

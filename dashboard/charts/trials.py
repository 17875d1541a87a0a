"""Learning curves of several trials: eight told apart, the others thin behind them."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.frames.trial_details import COLOURED
from dashboard.look import Palette

LEGEND_COLUMNS = 4
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])


def trial_curves_chart(
    curves: pd.DataFrame, rungs: pd.DataFrame, colours: Palette, *, log: bool
) -> alt.LayerChart | alt.FacetChart:
    """Training loss against tokens, a line per trial; circles where a rung ended."""
    named = [int(trial) for trial in dict.fromkeys(curves["trial"])][:COLOURED]
    domain = [f"trial {trial}" for trial in named]
    curves = curves.assign(line="trial " + curves["trial"].astype(int).astype(str))
    rungs = rungs.assign(line="trial " + rungs["trial"].astype(int).astype(str))
    if log:
        curves, rungs = curves[curves["loss"] > 0], rungs[rungs["loss"] > 0]
    is_named = curves["line"].isin(domain)
    x = alt.X("tokens:Q", title="Training tokens", axis=alt.Axis(format="~s", tickCount=6))
    y = alt.Y(
        "loss:Q",
        title="Training loss" + (", log scale" if log else ""),
        scale=alt.Scale(type="log" if log else "linear", zero=False, nice=not log, padding=8),
        axis=alt.Axis(tickCount=5, format=".3~g"),
    )
    colour = alt.Color(
        "line:N",
        scale=alt.Scale(domain=domain, range=[*colours.families, colours.ink][: len(domain)]),
        legend=alt.Legend(title=None, orient="top", columns=LEGEND_COLUMNS, symbolType="stroke"),
    )
    dash = alt.StrokeDash(
        "line:N",
        scale=alt.Scale(domain=domain, range=[DASHES[i % len(DASHES)] for i in range(len(domain))]),
        legend=alt.Legend(title=None, orient="top", columns=LEGEND_COLUMNS, symbolType="stroke"),
    )
    tooltip = [
        alt.Tooltip("line:N", title="Trial"),
        alt.Tooltip("tokens:Q", title="Tokens", format=",d"),
        alt.Tooltip("loss:Q", title="Loss", format=".3f"),
    ]
    thin = (
        alt.Chart(curves[~is_named])
        .mark_line(strokeWidth=0.8, opacity=0.55, color=colours.muted)
        .encode(x=x, y=y, detail="line:N", tooltip=tooltip)
    )
    lines = (
        alt.Chart(curves[is_named])
        .mark_line(strokeWidth=2)
        .encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=tooltip)
    )
    marks = (
        alt.Chart(rungs[rungs["line"].isin(domain)])
        .mark_point(size=55, fill=colours.paper, strokeWidth=2, opacity=1)
        .encode(
            x=x,
            y=y,
            color=colour,
            tooltip=[
                *tooltip,
                alt.Tooltip("rung:Q", title="Rungs before"),
                alt.Tooltip("state:N", title="State"),
            ],
        )
    )
    return alt.layer(thin, lines, marks).properties(height=330)

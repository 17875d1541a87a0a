"""Axis panels: a metric by the values of one axis of the designs, and of two together."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import selection
from dashboard.charts.importance import grid_chart, slice_chart
from dashboard.draw import draw
from dashboard.frames.derived_axes import importance_of, interactions_of, metric_of
from dashboard.frames.parameters import slice_points
from dashboard.frames.quantities import Quantity
from dashboard.loading import Loaded
from dashboard.look import palette
from results.design_axes import DesignAxes, axis_words, lower_words
from results.slices import EXACT_PAIRS, FEW, by_layer, by_two, extremes, groups, means


@st.fragment  # another axis draws this part alone again
def one_axis(loaded: Loaded, axes: DesignAxes, q: Quantity) -> None:
    """A metric by the values of one axis, and by layer."""
    st.subheader("One axis", anchor=False)
    figure = _figure(axes, loaded, q)
    values = metric_of(loaded, axes, q.column) / q.scale
    codes, names, middles = groups(axes.figures[figure].to_numpy())
    by_value = means(codes, names, middles, values)
    title = axis_words(figure)
    st.text(_slice_sentence(by_value, title, q))
    layer_axis = axes.axis_of(figure)
    deep = layer_axis is not None and layer_axis.codes.shape[1] > 1
    left, right = st.columns(2 if deep else [1, 0.001], gap="medium")
    with left:
        draw(
            slice_chart(
                slice_points(axes, loaded.report, figure, q),
                by_value,
                title if layer_axis is None or "=" in figure else f"{title}, mean over layers",
                q,
                palette(),
            ),
            width="stretch",
            key="slice",
            alt=f"{q.title} against {title}, with means by group and their 95% intervals.",
        )
    if deep and layer_axis is not None:
        cells = by_layer(layer_axis, values)
        order = list(dict.fromkeys(cells.sort_values("layer")["value"]))
        order = [str(level) for level in layer_axis.levels if str(level) in order] or order
        with right:
            draw(
                grid_chart(
                    cells,
                    ("layer", "Layer", [str(n) for n in sorted(cells["layer"].unique())]),
                    ("value", axis_words(layer_axis.name), order),
                    q,
                    palette(),
                ),
                width="stretch",
                key="by_layer",
                alt=f"Mean {q.title} where a layer has each value, by layer.",
            )
            st.caption(f"Mean of all designs whose layer has the value; pale: fewer than {FEW}.")


def _slice_sentence(by_value: pd.DataFrame, title: str, q: Quantity) -> str:
    found = extremes(by_value)
    if found is None:
        return f"Too few designs share a value of {lower_words(title)} to compare their means."
    low, high, apart = found
    means_text = (
        f"mean {lower_words(q.title)} goes from {low['mean']:.3g} (at {low['group']}) to "
        f"{high['mean']:.3g} (at {high['group']})"
    )
    unit = f" {q.unit}" if q.unit else ""
    return (
        f"By {lower_words(title)}, {means_text}{unit}."
        if apart
        else f"The means of {lower_words(q.title)} by {lower_words(title)} cannot be told apart."
    )


def _figure(axes: DesignAxes, loaded: Loaded, q: Quantity) -> str:
    """The axis that is looked at: the most important one, or the one that the URL names."""
    options = [str(name) for name in axes.figures]
    asked = selection.get("axis")
    best = importance_of(loaded, q.column).axes
    first = next((f for a in best["axis"] for f in options if f.partition("=")[0] == a), options[0])
    chosen = asked if asked in options else first
    return st.selectbox(
        "Axis",
        options,
        index=options.index(chosen),
        format_func=axis_words,
        key="parameters_axis",
        on_change=lambda: selection.put("axis", st.session_state["parameters_axis"]),
        width=300,
    )


@st.fragment
def two_axes(loaded: Loaded, axes: DesignAxes, q: Quantity) -> None:
    """Which pairs act together on a metric, and the means of one pair."""
    st.subheader("Two axes together", anchor=False)
    pairs = interactions_of(loaded, q.column)
    if pairs.empty:
        st.text("There are too few axes or designs to tell how two act together.")
        return
    sure = pairs[pairs["sure"].astype(bool)]
    if sure.empty:
        st.text(
            f"No pair of axes acts together on {lower_words(q.title)}, beyond what each does alone."
        )
    else:
        first = sure.iloc[0]
        st.text(
            f"{axis_words(first['a'])} and {lower_words(axis_words(first['b']))} act together on "
            f"{lower_words(q.title)}: beyond the sum of both, {first['share']:.1%} of its variance."
        )
    options = [f"{row.a},{row.b}" for row in pairs.itertuples()]
    left, right = st.columns([1.1, 1.5], gap="medium")
    with left:
        pair = _pair(options)
        table = pairs.head(8).assign(
            pair=[_pair_words(option) for option in options[:8]],
            share=100 * pairs["share"].head(8),
            sure=["yes" if is_sure else "no" for is_sure in pairs["sure"].head(8)],
        )
        st.dataframe(
            table[["pair", "share", "sure"]],
            hide_index=True,
            column_config={
                "pair": st.column_config.TextColumn("Axes", width=230),
                "share": st.column_config.NumberColumn(
                    "Extra (%)",
                    format="%.2f",
                    width=80,
                    help="Of the variance of the metric, beyond the sum of what each does.",
                ),
                "sure": st.column_config.TextColumn(
                    "Sure",
                    width=60,
                    help="Whether it is beyond chance, counting all pairs, and half a percent.",
                ),
            },
            alt="Pairs of axes by how much of the metric they explain beyond the sum of both.",
        )
    a, _, b = pair.partition(",")
    values = metric_of(loaded, axes, q.column) / q.scale
    grouped = [groups(axes.figures[name].to_numpy(), EXACT_PAIRS)[:2] for name in (a, b)]
    cells = by_two(grouped[0], grouped[1], values)
    with right:
        draw(
            grid_chart(
                cells,
                ("a", axis_words(a), grouped[0][1]),
                ("b", axis_words(b), grouped[1][1]),
                q,
                palette(),
            ),
            width="stretch",
            key="pair",
            alt=f"Mean {q.title} by {axis_words(a)} and {axis_words(b)}.",
        )
        st.caption(f"Means of the designs in each cell, and how many; pale: fewer than {FEW}.")


def _pair(options: list[str]) -> str:
    """The pair that is drawn: the strongest, or the one that the URL names."""
    asked = selection.get("pair") or ""
    return st.selectbox(
        "Pair",
        options,
        index=options.index(asked) if asked in options else 0,
        format_func=_pair_words,
        key="parameters_pair",
        on_change=lambda: selection.put("pair", st.session_state["parameters_pair"]),
    )


def _pair_words(pair: str) -> str:
    a, _, b = pair.partition(",")
    return f"{axis_words(a)} × {lower_words(axis_words(b))}"

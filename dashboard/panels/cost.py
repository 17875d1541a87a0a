"""Cost panel: learning, KV cache and latency of one or several designs, a line for each."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import pandas as pd
import streamlit as st

from dashboard.charts import (
    cache_curve_chart,
    latency_by_length_chart,
    latency_chart,
    learning_chart,
)
from dashboard.draw import draw
from dashboard.frames.comparing import by_length, latency_ratios
from dashboard.frames.derived import curves_of
from dashboard.frames.designs import cache_curves
from dashboard.loading import Loaded
from dashboard.look import palette
from search_space import Design


def show_learning(loaded: Loaded, trials: Mapping[str, int], key: str) -> None:
    """Training loss of each design, every seed a line."""
    st.markdown("**Learning**")
    keys: dict[str, str] = {}
    for name, trial in trials.items():
        row = loaded.row_of(trial)
        if row is not None and str(row["key"]) not in keys.values():
            keys[name] = str(row["key"])
    curve = curves_of(loaded, keys)
    if curve.empty:
        st.caption("No learning curve was kept.")
        return
    draw(
        learning_chart(curve, palette()),
        width="stretch",
        key=f"{key}_learning",
        alt="Training loss against tokens, for every seed of the designs compared.",
    )


def show_cache(designs: Mapping[str, Design], key: str) -> None:
    """Bytes that decoding keeps, by context; encoders keep none."""
    decoders = {name: d for name, d in designs.items() if d.kind != "encoder"}
    st.markdown("**KV cache by context**, counted exactly")
    curves = cache_curves(decoders)
    if not (curves["bytes"] > 0).any():
        st.caption("Encoders keep no cache.")
        return
    draw(
        cache_curve_chart(curves, palette()),
        width="stretch",
        key=f"{key}_cache",
        alt="Bytes of keys and values per sequence against context, a line per design.",
    )


def show_latency(loaded: Loaded, trials: Mapping[str, int], key: str) -> None:
    """Lines over the length where a phase was measured at several, else dots."""
    several, rest = by_length(latency_ratios(loaded, trials))
    if not several and rest.empty:
        return
    st.markdown("**Latency**, measured, with 95% intervals")
    columns = st.columns(2, gap="large")
    for place, (phase, data) in enumerate(several.items()):
        with columns[place % 2]:
            st.text(f"{phase} by length")
            _drawn(latency_by_length_chart(data, palette()), data, f"{key}_latency_{phase}")
    if len(rest):
        with columns[len(several) % 2]:
            if several:
                st.text("Other phases, at one length")
            _drawn(latency_chart(rest, palette()), rest, f"{key}_latency")


def _drawn(chart: alt.LayerChart | alt.FacetChart, data: pd.DataFrame, key: str) -> None:
    texts = zip(data["design"], data["what"], data["text"], strict=True)
    draw(
        chart,
        width="stretch",
        key=key,
        alt="; ".join(f"{design}, {what}: {text}" for design, what, text in texts)[:2000],
    )

"""Design page: what one design is, what it costs, and how it differs from plain attention."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import selection
from dashboard.attention import show_attention
from dashboard.cards import show_metrics, show_reason
from dashboard.charts import (
    cache_curve_chart,
    latency_chart,
    layer_strip,
    learning_chart,
    pattern_chart,
)
from dashboard.derived import curves_of, reference_for
from dashboard.designs import (
    cache_curves,
    differences,
    distinct_patterns,
    exact_counts,
    layer_rows,
    mask_cells,
    mask_lengths,
    number_ranges,
    read_design,
    visible_text,
    words,
)
from dashboard.live import refreshing
from dashboard.loading import Loaded, open_run
from dashboard.look import family_colours, palette
from dashboard.messages import show_command, show_no_rows
from dashboard.trials import latency_ratios, metric_table
from dashboard.view import View
from search_space import Design

MASKS_A_ROW = 3


def page(view: View) -> None:
    """The whole page; it refreshes while the run is live."""
    st.header("Designs", anchor=False)
    refreshing(view.path, lambda: _body(open_run(view.path)))


def _body(loaded: Loaded) -> None:
    trial = _picker(loaded)
    row = None if trial is None else loaded.row_of(trial)
    if trial is None or row is None:
        show_no_rows(len(loaded.frame))
        return
    text = loaded.design_text(trial)
    st.text(words(text))
    show_reason(row)
    design = read_design(text)
    if design is None:
        st.text("This attnas cannot read the design: it may come from a newer version.")
    else:
        _drawn(design)
        _costs(loaded, row, design)
    _measured(loaded, trial, row)
    if row["state"] == "complete":
        show_attention(loaded, trial)
    if design is not None:
        _differences(loaded, design)
    run = f"runs/{loaded.run.path.name}"
    export = f"\nattnas export {run} --pick {trial} --to out/"
    exportable = design is not None and design.kind == "decoder"
    show_command(
        f"attnas show {run} {trial}{export if exportable else ''}",
        f"The same from a shell{', and the export of this design' if exportable else ''}:",
    )


def _picker(loaded: Loaded) -> int | None:
    """The selected trial, the knee where none is, the first where there is no front."""
    trials = sorted({int(trial) for trial in loaded.frame["trial"]})
    if not trials:
        return None
    asked = selection.trial()
    if asked is not None and asked not in trials:
        st.text(f"This run has no trial {asked}.")
    fallback = trials[0] if loaded.knee is None else loaded.knee
    chosen = asked if asked in trials else fallback
    st.session_state["trial_picker"] = chosen  # also when the URL or a chart chose it

    def picked() -> None:
        selection.put_trial(st.session_state["trial_picker"])

    return st.selectbox(
        "Trial",
        trials,
        key="trial_picker",
        format_func=lambda trial: _label(loaded, trial),
        on_change=picked,
        width=420,
    )


def _label(loaded: Loaded, trial: int) -> str:
    row = loaded.row_of(trial)
    origin = "" if row is None else str(row["origin"])[:60]
    return f"Trial {trial}, {origin}" + (" (knee)" if trial == loaded.knee else "")


def _drawn(design: Design) -> None:
    """The layers, and each pattern they use."""
    st.subheader("Layers", anchor=False)
    layers = layer_rows(design)
    st.altair_chart(
        layer_strip(layers, palette()),
        width="stretch",
        key="strip",
        alt="; ".join(f"layer {n}: {text}" for n, text in enumerate(layers["words"], 1))[:2000],
    )
    st.subheader("Patterns", anchor=False)
    lengths = mask_lengths(design.context)
    length = st.segmented_control(
        "Drawn over this many positions",
        lengths,
        default=lengths[-1],
        format_func=lambda n: f"{n:,}",
        key=f"mask_length_{lengths[-1]}",
        required=True,
    )
    patterns = distinct_patterns(design)
    colours = family_colours({pattern.name for pattern, *_ in patterns}, palette())
    columns = st.columns(MASKS_A_ROW)
    for index, (pattern, kind, numbers) in enumerate(patterns):
        with columns[index % MASKS_A_ROW]:
            layers_named = f"layer{'' if len(numbers) == 1 else 's'} {number_ranges(numbers)}"
            visible = f"{visible_text(pattern, length, kind)} visible"
            st.altair_chart(
                pattern_chart(
                    mask_cells(pattern, length, kind),
                    length,
                    f"{pattern.describe()}: {layers_named}",
                    colours[pattern.name],
                ),
                width="content",
                key=f"mask_{index}",
                alt=f"The mask of {pattern.describe()}: {visible}.",
            )
            st.caption(visible)


def _costs(loaded: Loaded, row: pd.Series, design: Design) -> None:
    """What needs no measurement."""
    reference, name = reference_for(loaded, design)
    both = {f"this design (trial {int(row['trial'])})": design, name: reference}
    counts = exact_counts({"This design": design, "Reference": reference})
    st.subheader("Cost, counted exactly", anchor=False)
    if design.kind == "encoder":  # it keeps no cache
        st.dataframe(counts, hide_index=True, alt="Exact counts of the design and the reference.")
        return
    left, right = st.columns([1.2, 1], gap="medium")
    left.altair_chart(
        cache_curve_chart(cache_curves(both), palette()),
        width="stretch",
        key="cache",
        alt="Bytes of keys and values per sequence against context, beside the reference.",
    )
    right.dataframe(counts, hide_index=True, alt="Exact counts of the design and the reference.")


def _measured(loaded: Loaded, trial: int, row: pd.Series) -> None:
    """What was measured, each figure with its noise."""
    st.subheader("Measured", anchor=False)
    left, right = st.columns([1.2, 1], gap="medium")
    with left:
        ratios = latency_ratios(loaded, trial)
        if len(ratios):
            st.altair_chart(
                latency_chart(ratios, palette()),
                width="stretch",
                key="latency",
                alt="; ".join(f"{r.what}: {r.text}" for r in ratios.itertuples()),
            )
        _learning(loaded, trial, row)
    with right:
        show_metrics(metric_table(loaded, trial), height=520)


def _learning(loaded: Loaded, trial: int, row: pd.Series) -> None:
    named = {f"this design (trial {trial})": str(row["key"])}
    design = read_design(loaded.design_text(trial))
    if design is not None:
        reference, name = reference_for(loaded, design)
        if reference.key != row["key"]:
            named[name] = reference.key
    curve = curves_of(loaded, named)
    if curve.empty:
        st.caption("No learning curve was kept.")
        return
    st.altair_chart(
        learning_chart(curve, palette()),
        width="stretch",
        key="learning",
        alt="Training loss against tokens, for every seed of the design and the reference.",
    )


def _differences(loaded: Loaded, design: Design) -> None:
    reference, name = reference_for(loaded, design)
    st.subheader("Layer by layer", anchor=False)
    st.caption(f"Compared with {name}.")
    st.dataframe(
        differences(design, reference),
        hide_index=True,
        alt="Each layer of the design beside the reference's, and what differs.",
    )

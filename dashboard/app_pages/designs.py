"""Designs page: what one design is, what it costs, and how it differs from another."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from dashboard import selection
from dashboard.charts.layers import strip_width
from dashboard.frames.comparing import objective_differences
from dashboard.frames.derived import candidates_of, name_of, reference_for
from dashboard.frames.designs import (
    differences,
    differing_numbers,
    exact_counts,
    layer_details,
    read_design,
    words,
)
from dashboard.frames.origins import source
from dashboard.frames.trials import metric_table
from dashboard.live import refreshing
from dashboard.loading import Loaded, open_run
from dashboard.messages import show_command, show_no_rows
from dashboard.panels.attention import show_attention
from dashboard.panels.cards import NAMED, show_metrics, show_reason, standing
from dashboard.panels.cost import show_cache, show_latency, show_learning
from dashboard.panels.difference_table import show_differences
from dashboard.panels.masks import show_masks
from dashboard.panels.strip import pick_layer, show_strip_legend, show_strips
from dashboard.panels.trial_notes import show_provenance
from dashboard.panels.trial_picker import pick_other, pick_trial, place_on_front
from dashboard.view import View
from results.differing import difference_in_words
from search_space import Design

Other = tuple[Design, str, int | None]  # what is compared with: its name, and its trial if any
MOST_PRESETS = 4


def page(view: View) -> None:
    """The whole page; it refreshes while the run is live."""
    st.header("Designs", anchor=False)
    refreshing(view.path, lambda: _body(open_run(view.path), view))


def _body(loaded: Loaded, view: View) -> None:
    trial = pick_trial(loaded)
    row = None if trial is None else loaded.row_of(trial)
    if trial is None or row is None:
        show_no_rows(len(loaded.frame))
        show_command(f"attnas show {view.name} TRIAL", "A trial from a shell, once there is one:")
        return
    design = read_design(loaded.design_text(trial))
    _head(loaded, trial, row, design)
    if design is not None:
        other = _other(loaded, trial, design, view)
        _layers(trial, design, other)
        _costs(loaded, trial, design, other)
        if row["state"] == "complete":
            show_attention(loaded, trial, view, selection.number_of(selection.get("layer")))
        _compared(loaded, trial, design, other)
    _figures(loaded, trial, row)
    _commands(view, trial, design, row)


def _head(loaded: Loaded, trial: int, row: pd.Series, design: Design | None) -> None:
    """The design in words, and where it stands."""
    origin = str(row["origin"])
    place = place_on_front(loaded, trial)
    st.text(words(loaded.design_text(trial)))
    st.caption(
        f"Trial {trial}: {standing(loaded, trial)}{f' ({place})' if place else ''}; "
        f"{NAMED[source(origin)]}."
    )
    if isinstance(row.get("settings"), str):
        settings = json.loads(str(row["settings"]))
        st.text("Settings: " + ", ".join(f"{name} {value}" for name, value in settings.items()))
    show_reason(row)
    if design is None:
        st.text("This attnas cannot read the design: it may come from a newer version.")


def _other(loaded: Loaded, trial: int, design: Design, view: View) -> Other:
    """What the design is compared with: the trial in the URL, else the reference."""
    reference, name = reference_for(loaded, design)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        number = pick_other(loaded, name, trial)
        view.link("compare", "Compare several", trial=trial)
        view.link("export", "Export this design", trial=trial)
    found = None if number is None else read_design(loaded.design_text(number))
    if number is not None and found is not None:
        return found, name_of(loaded, number), number
    if number is not None:
        st.text("That design cannot be read by this attnas, so here is the reference.")
    known = loaded.report.loc[loaded.report["key"] == reference.key, "trial"]
    return reference, name, None if known.empty else int(known.iloc[0])


def _layers(trial: int, design: Design, other: Other) -> None:
    """The layers, exact counts, and each pattern that the layers use."""
    against, name, number = other
    counts = {f"trial {trial}": design} | ({} if number == trial else {name: against})
    st.subheader("Layers", anchor=False)
    layer = pick_layer(design)
    room = strip_width(design.depth)  # a short strip leaves some at its right
    left, right = (st.container(), st.container()) if room is None else st.columns([1.2, 1])
    with left:
        show_strips(design, f"strip_{len(design.layers)}", selected=layer, can_select=True)
        show_strip_legend([design])
    right.dataframe(
        exact_counts(counts),
        hide_index=True,
        width="content" if room is None else "stretch",
        alt="Exact counts of the design and the one that it is compared with.",
    )
    st.subheader("Patterns" if layer is None else f"Layer {layer}", anchor=False)
    if layer is not None:
        left, right = st.columns([1, 2.2], gap="medium")
        left.dataframe(
            layer_details(design, layer),
            hide_index=True,
            alt=f"Everything about layer {layer}.",
        )
        with right:
            show_masks(design, layer)
    else:
        show_masks(design, None)


def _costs(loaded: Loaded, trial: int, design: Design, other: Other) -> None:
    """Learning, cache and latency beside the compared design's."""
    against, name, number = other
    own = f"trial {trial}"
    trials = {own: trial} | ({} if number is None or number == trial else {name: number})
    designs = {own: design} | ({} if number == trial else {name: against})
    st.subheader("Learning and cost", anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        show_learning(loaded, trials, "own")
    with right:
        chart = st.container()
        if st.toggle("Presets too", key="cache_presets"):
            designs |= _presets(loaded, designs)
        with chart:
            show_cache(designs, "own")
    show_latency(loaded, trials, "own")


def _presets(loaded: Loaded, known: dict[str, Design]) -> dict[str, Design]:
    """The run's presets that are not shown already."""
    found: dict[str, Design] = {}
    keys = {design.key for design in known.values()}
    for each in candidates_of(loaded):
        design = read_design(loaded.design_text(each.trial))
        if "reset" not in each.why or design is None or design.key in keys:
            continue
        found[name_of(loaded, each.trial)] = design
    return dict(list(found.items())[:MOST_PRESETS])


def _compared(loaded: Loaded, trial: int, design: Design, other: Other) -> None:
    """How it differs from the other design, in figures and layer by layer."""
    against, name, number = other
    st.subheader("Compared", anchor=False)
    st.text(f"Trial {trial} {difference_in_words(design, against)}; compared with {name}.")
    if number is not None and number != trial:
        table = objective_differences(loaded, trial, number)
        if len(table):
            st.dataframe(
                table,
                hide_index=True,
                width="content",
                alt="By how much the objectives differ, with 95% intervals.",
            )
    table = differences(design, against)
    if (table["Differs in"] == "nothing").all():
        return
    st.caption("This design above, the other below; layers that differ have a dashed outline.")
    show_strips(design, "mine", together=[against], different=differing_numbers(design, [against]))
    show_strips(against, "other", together=[design], different=differing_numbers(against, [design]))
    show_differences(table)


def _figures(loaded: Loaded, trial: int, row: pd.Series) -> None:
    st.subheader("All figures", anchor=False)
    left, right = st.columns([1.2, 1], gap="large")
    with left:
        show_metrics(metric_table(loaded, trial), height=560)
    with right:
        show_provenance(loaded, trial, row)


def _commands(view: View, trial: int, design: Design | None, row: pd.Series) -> None:
    export = f"\nattnas export {view.name} --pick {trial} --to out/"
    exportable = design is not None and design.kind == "decoder" and row["state"] == "complete"
    show_command(
        f"attnas show {view.name} {trial}{export if exportable else ''}",
        f"The same from a shell{', and the export of this design' if exportable else ''}:",
    )

"""Compare page: up to eight designs of a run, or several runs, side by side."""

from __future__ import annotations

import streamlit as st

from dashboard import selection
from dashboard.charts import interval_chart
from dashboard.charts.layers import strip_width
from dashboard.draw import draw
from dashboard.frames.comparing import (
    MOST,
    interval_table,
    quantity_of,
    shortened,
)
from dashboard.frames.derived import candidates_of, name_of
from dashboard.frames.designs import differing_numbers, read_design, words
from dashboard.live import refreshing
from dashboard.loading import Loaded, open_run
from dashboard.look import palette
from dashboard.messages import show_command, show_no_rows
from dashboard.panels.cards import show_reason
from dashboard.panels.compare_table import show_metric_sheet, show_origins
from dashboard.panels.cost import show_cache, show_latency, show_learning
from dashboard.panels.runs import show_runs
from dashboard.panels.strip import show_strip_legend, show_strips
from dashboard.panels.trial_picker import add_trial, known_trials
from dashboard.view import View
from results.differing import difference_in_words
from results.side_by_side import Line, caveats, chosen_designs, chosen_rows, lines
from search_space import Design

TRIALS, RUNS = "Trials of this run", "Several runs"
FIRST = 3  # that are shown where none is selected


def page(view: View) -> None:
    """The whole page; it refreshes while the run is live."""
    st.header("Compare", anchor=False)
    refreshing(view.path, lambda: _body(open_run(view.path), view))


def _body(loaded: Loaded, view: View) -> None:
    what = st.segmented_control(
        "Compare",
        [TRIALS, RUNS],
        default=RUNS if selection.listed("runs") else TRIALS,
        key="compare_what",
        required=True,
        label_visibility="collapsed",
    )
    if what == RUNS:
        show_runs(loaded, view)
        return
    trials = _trials(loaded)
    if not trials:
        show_no_rows(len(loaded.frame))
    else:
        _side_by_side(loaded, trials)
    named = " ".join(map(str, trials)) if len(trials) > 1 else "TRIAL TRIAL"
    show_command(f"attnas compare {view.name} {named}", "The same from a shell:")


def _trials(loaded: Loaded) -> list[int]:
    """The selected trials, or some worth a look; each can be taken out, and others put in."""
    if loaded.frame.empty:
        return []
    asked = known_trials(loaded, selection.trials())
    chosen = asked[:MOST] or _suggested(loaded)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        add_trial(loaded, chosen, MOST)
        for trial in chosen:
            st.button(
                f"Trial {trial}",
                icon=":material/close:",
                icon_position="right",
                key=f"take_out_{trial}",
                help=f"Take trial {trial} out",
                on_click=_take_out,
                args=(chosen, trial),
                disabled=len(chosen) == 1,
            )
    if len(asked) > MOST:
        st.caption(f"{len(asked)} trials are selected; these are the first {MOST} by number.")
    elif not asked:
        st.caption("Nothing is selected, so here are some that are worth a look.")
    return chosen


def _suggested(loaded: Loaded) -> list[int]:
    """The trial that is looked at, the knee, the best of objectives, and a preset."""
    looked_at = selection.trial()
    offered = candidates_of(loaded)
    presets = [each.trial for each in offered if each.why.startswith("Preset")]
    order = [each.trial for each in offered[:FIRST]]
    if looked_at is not None and loaded.row_of(looked_at) is not None:
        order = [looked_at, *order]
    order = list(dict.fromkeys([*order[:FIRST], *presets[:1]]))
    return sorted(order) if order else [int(loaded.frame["trial"].min())]


def _take_out(chosen: list[int], trial: int) -> None:
    selection.put_trials(each for each in chosen if each != trial)


def _side_by_side(loaded: Loaded, trials: list[int]) -> None:
    rows = chosen_rows(loaded.frame, trials)
    names = [name_of(loaded, trial) for trial in trials]
    for sentence in caveats(rows):
        st.warning(sentence, icon=":material/warning:")
    found = lines(chosen_designs(loaded.report, rows), loaded.run.objectives, loaded.noise)
    _objectives([line for line in found if line.is_objective], names, loaded)
    st.subheader("Metrics", anchor=False)
    only = st.toggle("Only what differs", value=True, key="compare_only")
    show_metric_sheet(found, names, loaded, only)
    texts = dict(zip(names, loaded.design_texts(trials), strict=True))
    designs = {n: d for n, text in texts.items() if (d := read_design(text)) is not None}
    _layers(loaded, dict(zip(names, trials, strict=True)), texts, designs)
    _costs(loaded, dict(zip(names, trials, strict=True)), designs)
    show_origins(rows, names, only)


def _objectives(found: list[Line], names: list[str], loaded: Loaded) -> None:
    """A small chart per objective: each design a dot with its interval."""
    if not found:
        st.caption("None of these trials has a value for an objective.")
        return
    st.subheader("Objectives", anchor=False)
    for column, line in zip(st.columns(len(found), gap="medium"), found, strict=True):
        table = interval_table(line, names, loaded)
        with column:
            draw(
                interval_chart(table, quantity_of(line, loaded), palette()),
                width="stretch",
                key=f"objective_{line.column}",
                alt="; ".join(f"{r.design}: {r.text}" for r in table.itertuples()),
            )
            said = line.in_words([shortened(name) for name in names])
            st.text(said[:1].upper() + said[1:])


def _layers(
    loaded: Loaded, trials: dict[str, int], texts: dict[str, str], designs: dict[str, Design]
) -> None:
    """The strips under one another, layer below layer."""
    st.subheader("Layers", anchor=False)
    deepest = max((design.depth for design in designs.values()), default=0)
    first = next(iter(designs), None)
    for name, trial in trials.items():
        short = strip_width(deepest) is not None  # leaves room beside it
        left, right = st.columns([1.2, 1]) if short else (st.container(), st.container())
        with right if short else left:
            st.markdown(f"**Trial {trial}**")
            st.text(words(texts[name]))
            if (row := loaded.row_of(trial)) is not None:
                show_reason(row)
            if name in designs and first is not None and name != first:
                said = difference_in_words(designs[name], designs[first])
                st.caption(f"Against trial {trials[first]} it {said}.")
        if name in designs:
            base = [] if first is None or name == first else [designs[first]]
            different = differing_numbers(designs[name], base)
            with left:
                key = f"compared_{trial}"
                show_strips(
                    designs[name], key, together=list(designs.values()), different=different
                )
    if first is not None:
        outlined = f"trial {trials[first]}" if len(designs) > 1 else ""
        show_strip_legend(list(designs.values()), outlined=outlined)


def _costs(loaded: Loaded, trials: dict[str, int], designs: dict[str, Design]) -> None:
    """Learning, cache and latency, a line per design."""
    st.subheader("Learning and cost", anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        show_learning(loaded, trials, "compared")
    with right:
        show_cache(designs, "compared")
    show_latency(loaded, trials, "compared")

"""Export page: choose a trial, see where its design could run, write it, and see it proven."""

from __future__ import annotations

import shlex
from pathlib import Path

import streamlit as st

from dashboard import selection
from dashboard.export_job import Request, jobs
from dashboard.frames.derived import quantities_of, report_under
from dashboard.frames.designs import read_design
from dashboard.frames.exporting import (
    TARGETS,
    WRITTEN,
    ExportTarget,
    complete_row,
    default_folder,
    export_arguments,
    folder_of,
    folder_problem,
    picks,
    without_weights,
)
from dashboard.frames.quantities import Quantity
from dashboard.live import refreshing
from dashboard.loading import Loaded, open_run
from dashboard.messages import show_command, show_no_rows
from dashboard.panels.cards import trial_card
from dashboard.panels.export_result import show_job
from dashboard.panels.filters import escaped, filter_bar
from dashboard.view import View
from results.design_axes import lower_words
from search_space import Design

POLL = 1.0  # seconds between looks at an export under way


def page(view: View) -> None:
    """The whole page; the choice refreshes while the run is live, the export while it runs."""
    st.header("Export", anchor=False)
    refreshing(view.path, lambda: _body(open_run(view.path), view))
    _job(view)


def _body(loaded: Loaded, view: View) -> None:
    trial = _choice(loaded)
    if trial is None:
        show_no_rows(len(loaded.frame))
        show_command(f"attnas status {view.name}", "The same from a shell:")
        return
    design = read_design(loaded.design_text(trial))
    left, right = st.columns([1, 1.25], gap="medium")
    with left:
        trial_card(loaded, trial, view)
    with right:
        st.markdown("**Where this design can run**")
        if design is None:
            st.text("This attnas cannot read the design: it may come from a newer version.")
        else:
            for target in TARGETS:
                _target(target, design)
            st.caption(
                "Whether a design could run somewhere is a rule about its layers. What attnas "
                "writes today is marked; the others say what to choose if you need them."
            )
    st.subheader("Write it", anchor=False)
    _form(loaded, view, trial, design)


# Which trial


def _choice(loaded: Loaded) -> int | None:
    """The selected trial, the knee where none is; None in a run without a trial."""
    if loaded.frame.empty:
        return _missing(loaded)
    report = loaded.report
    if not report.empty:
        report = report_under(loaded, filter_bar(loaded))
        if report.empty:
            st.text("No design is left: widen what is kept above.")
    found = picks(loaded, report)
    asked = selection.trial()
    chosen = asked if asked is not None and loaded.row_of(asked) is not None else None
    first = int(loaded.frame["trial"].iloc[0])
    trial = chosen if chosen is not None else found[0].trial if found else loaded.knee or first
    _missing(loaded)
    known = quantities_of(loaded) if len(loaded.report) else {}
    labels = {
        pick.label: f"{_named(known[pick.label]) if pick.label in known else pick.label}: "
        f"trial {pick.trial}"
        for pick in found
    }
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        _number(trial)
        _shortcuts({pick.label: pick.trial for pick in found}, labels, trial)
    return trial


def _named(q: Quantity) -> str:
    """`Best accuracy`, `Lowest KV cache`."""
    return (
        f"{'Best' if q.objective.direction == 'max' else 'Lowest'} {escaped(lower_words(q.title))}"
    )


def _missing(loaded: Loaded) -> None:
    asked = selection.trial()
    if asked is not None and loaded.row_of(asked) is None:
        st.text(f"This run has no trial {asked}.")


def _number(trial: int) -> None:
    st.session_state["export_trial"] = trial

    def typed() -> None:
        selection.put_trial(st.session_state["export_trial"])

    st.number_input("Trial", min_value=0, step=1, key="export_trial", on_change=typed, width=130)


def _shortcuts(trials: dict[str, int], labels: dict[str, str], trial: int) -> None:
    if not trials:
        return
    at = next((label for label, number in trials.items() if number == trial), None)
    st.session_state["export_pick"] = at

    def picked() -> None:
        if (label := st.session_state["export_pick"]) is not None:
            selection.put_trial(trials[label])

    st.pills(
        "Or the best of what is kept",
        list(trials),
        format_func=lambda label: labels.get(label, ""),
        key="export_pick",
        on_change=picked,
        width="content",
        wrap=True,
    )


# Where it can run


def _target(target: ExportTarget, design: Design) -> None:
    reasons = target.refuses(design)
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{target.title}**", width="content")
            if reasons:
                st.badge("Can't run there", icon=":material/block:", color="orange")
            else:
                st.badge("Can run there", icon=":material/check:", color="green")
            if target.arguments is not None:
                st.badge("attnas writes it", icon=":material/save:", color="blue")
            else:
                st.badge("not written yet", icon=":material/schedule:", color="gray")
        if reasons:
            st.text("\n".join(f"{reason[:1].upper()}{reason[1:]}" for reason in reasons[:6])[:1500])
        else:
            st.caption(target.what)


# Writing it


def _form(loaded: Loaded, view: View, trial: int, design: Design | None) -> None:
    row = complete_row(loaded, trial)
    if row is None:
        st.text(f"Trial {trial} did not complete, so there is nothing to write: choose another.")
        show_command(f"attnas show {view.name} {trial}", "Why, from a shell:")
        return
    if design is None:
        show_command(f"attnas show {view.name} {trial}", "From a shell:")
        return
    target = _writer()
    if reasons := target.refuses(design):
        st.text(f"{reasons[0][:1].upper()}{reasons[0][1:]}.")
        show_command(f"attnas show {view.name} {trial}", "The design, from a shell:")
        return
    problem = without_weights(loaded, row)
    left, right = st.columns([1.4, 1], gap="medium", vertical_alignment="bottom")
    free = default_folder(loaded, trial)
    folder = left.text_input(
        "Folder to write into",
        value=free,
        key=f"export_to-{view.path}-{free}",  # anew once that is taken
        help=f"Where it is relative, it is under {Path.cwd()}, where the dashboard runs.",
    )
    with right.container(horizontal=True, vertical_alignment="center", gap="medium"):
        weights = st.toggle(
            "Trained weights",
            value=problem is None,
            disabled=problem is not None,
            key=f"export_weights-{view.path}-{trial}",
            width="content",
        )
        check = st.toggle(
            "Prove it is the model measured",
            value=True,
            key="export_check",
            width="content",
            help="Loads the files in a process without attnas and compares what they compute.",
        )
    if problem is not None:
        st.text(f"{problem} The design alone can be written, with --weights none.")
    refusal = folder_problem(folder)
    to = folder_of(folder if refusal is None else free)
    arguments = export_arguments(view.path, trial, to, target, weights=weights, check=check)
    last = jobs().last
    is_busy = last is not None and last.state == "running"
    if refusal:
        st.text(refusal)
    if st.button(
        "Export",
        type="primary",
        icon=":material/download:",
        disabled=refusal is not None or is_busy,
        key="export_start",
    ):
        try:
            jobs().start(Request(view.path, trial, to, arguments))
        except (ValueError, OSError) as error:
            st.text(f"{error}"[:500])
        else:
            st.rerun()
    show_command(shlex.join(["attnas", *arguments]), "The button runs exactly this:")


def _writer() -> ExportTarget:
    """Which of the targets that attnas writes; no choice where there is one."""
    if len(WRITTEN) == 1:
        return WRITTEN[0]
    by_name = {target.name: target for target in WRITTEN}
    asked = selection.get("target")
    st.session_state["export_target"] = asked if asked in by_name else WRITTEN[0].name
    chosen = st.segmented_control(
        "As",
        list(by_name),
        format_func=lambda name: by_name[name].title,
        key="export_target",
        required=True,
        on_change=lambda: selection.put("target", st.session_state["export_target"]),
    )
    return by_name[chosen or WRITTEN[0].name]


def _job(view: View) -> None:
    """The last export of this dashboard, looked at again and again while it runs."""
    job = jobs().last
    if job is None:
        return
    is_running = job.state == "running"

    @st.fragment(run_every=POLL if is_running else None)
    def part() -> None:
        now = jobs().last
        if now is None:
            return
        if is_running and now.state != "running":
            st.rerun()
        show_job(now, view.path)

    part()

"""Annotating: the note and the tags of one trial, to be read and changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from results import RunError
from results.annotations import (
    ANNOTATIONS,
    LONGEST_NOTE,
    MOST_TAGS,
    Annotation,
    Annotations,
    annotate,
    read_annotations,
)


def annotations_of(run: Path) -> Annotations:
    """All notes and tags of a run, read again where they changed; RunError where they can't be."""
    try:
        about = (run / ANNOTATIONS).stat()
    except OSError:
        return Annotations()
    return _annotations(str(run), (about.st_ino, about.st_mtime_ns, about.st_size))


def note_editor(run: Path, trial: int, annotations: Annotations) -> None:
    """A form for one trial; what others save meanwhile is shown, and never written over unseen."""
    stored = annotations.of(trial)
    base_key, problem_key = f"noted-{run}-{trial}", f"note-problem-{run}-{trial}"
    base: Annotation = st.session_state.setdefault(base_key, stored)
    age_key = f"note-age-{run}-{trial}"
    age = st.session_state.setdefault(age_key, 0)
    note_key, tags_key = f"note-{run}-{trial}-{age}", f"tags-{run}-{trial}-{age}"

    def take_over() -> None:
        st.session_state[base_key] = annotations_of(run).of(trial)
        st.session_state[age_key] = age + 1  # other keys, so that the widgets begin anew
        st.session_state.pop(problem_key, None)

    def save() -> None:
        note, tags = st.session_state[note_key].strip(), st.session_state[tags_key]
        try:
            annotate(
                run,
                trial,
                note=None if note == base.note else note,
                over=stored.note,  # what was last shown
                tag=[tag.strip() for tag in tags if tag.strip() not in base.tags],
                untag=[tag for tag in base.tags if tag not in tags],
            )
        except RunError as error:
            st.session_state[problem_key] = str(error)
        else:
            take_over()

    with st.form(f"annotate-{trial}", border=True):
        st.markdown("**Note and tags**")
        st.text_area(
            "Note",
            value=base.note,
            key=note_key,
            max_chars=LONGEST_NOTE,
            height=96,
            placeholder="What is to be remembered of this trial?",
        )
        st.multiselect(
            "Tags",
            sorted({*annotations.tags(), *base.tags}),
            default=list(base.tags),
            key=tags_key,
            accept_new_options=True,
            max_selections=MOST_TAGS,
            placeholder="Choose, or type a new one and press Enter",
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            st.form_submit_button("Save", icon=":material/save:", on_click=save)
            st.caption(_when(stored))
    if problem := st.session_state.get(problem_key):
        with st.container(border=True):
            st.text(f"Not saved: {problem}. What you typed is still there.")
    if stored != base:
        _changed_meanwhile(stored, take_over, trial)


def _changed_meanwhile(stored: Annotation, take_over: Callable[[], None], trial: int) -> None:
    with st.container(border=True):
        st.text("Somebody changed this since you opened it. Stored now:")
        st.text(stored.note or "no note")
        st.text("Tags: " + (", ".join(stored.tags) or "none"))
        st.button("Edit that instead", key=f"take-over-{trial}", on_click=take_over)


def _when(stored: Annotation) -> str:
    if stored.at is None:
        return "Kept in the run's folder, so that it travels with it."
    return "Saved " + time.strftime("%d %b %Y, %H:%M", time.localtime(stored.at))


@st.cache_resource(max_entries=8, show_spinner=False)
def _annotations(run: str, at: tuple[int, int, int]) -> Annotations:
    return read_annotations(Path(run))

"""Derived: what the pages draw, computed once per state of a run."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import streamlit as st

from dashboard.frames.candidates import Candidate, candidates
from dashboard.frames.comparing import notes, spelled_name
from dashboard.frames.designs import reference_of, words
from dashboard.frames.points import front_points, marked, summary
from dashboard.frames.quantities import Quantity
from dashboard.frames.trials import learning_curves, quantities
from dashboard.loading import Loaded, Stamp
from dashboard.scope import Bools, Scope
from results import against_random
from results.report import front_among
from search_space import Design

Identity = tuple[str, Stamp]
EVERYTHING = Scope()


def quantities_of(loaded: Loaded) -> dict[str, Quantity]:
    """Every quantity that an axis may show."""
    return _quantities(loaded.identity, loaded)


def points_of(
    loaded: Loaded,
    x: Quantity,
    y: Quantity,
    log: tuple[bool, bool],
    colour: Quantity | None = None,
    scope: Scope = EVERYTHING,
) -> tuple[pd.DataFrame, int]:
    """The points to draw, and how many could be."""
    column = None if colour is None else colour.column
    return _points(loaded.identity, (x.column, y.column, column), log, scope, loaded)


def marked_of(loaded: Loaded, scope: Scope) -> pd.DataFrame:
    """The whole report with the front and the knee of what is kept, which is its column `kept`."""
    return _marked(loaded.identity, scope, loaded)


def summary_of(loaded: Loaded) -> str:
    """What came of the trials, in a line."""
    return _summary(loaded.identity, loaded)


def against_chance_of(loaded: Loaded) -> str:
    """What can be said of the search against random designs."""
    return _against_chance(loaded.identity, loaded)


def reference_for(loaded: Loaded, design: Design) -> tuple[Design, str]:
    """What a design is compared with."""
    return _reference(loaded.identity, design.to_json(), loaded, design)


def curves_of(loaded: Loaded, named: dict[str, str]) -> pd.DataFrame:
    """Learning curves of some designs."""
    return _curves(loaded.identity, tuple(named.items()), loaded)


def words_of(loaded: Loaded, trials: Iterable[int]) -> list[str]:
    """What the designs of some trials are, in words."""
    return [words(text) for text in loaded.design_texts(trials)]


def candidates_of(loaded: Loaded) -> list[Candidate]:
    """The trials that are offered where one is to be picked."""
    return _candidates(loaded.identity, loaded)


def notes_of(loaded: Loaded, trial: int) -> dict[str, str]:
    """What was noted when a trial was trained and measured, by subject."""
    return _notes(loaded.identity, trial, loaded)


def name_of(loaded: Loaded, trial: int) -> str:
    """What a trial's design is called in charts and tables."""
    return _name(loaded.identity, trial, loaded)


def kept_of(loaded: Loaded, scope: Scope) -> Bools:
    """Which designs of the report are kept; ValueError says what is wrong with the condition."""
    return _kept(loaded.identity, scope, loaded)


def report_under(loaded: Loaded, scope: Scope) -> pd.DataFrame:
    """The report of the designs that are kept: what compares designs compares these alone."""
    return _report_under(loaded.identity, scope, loaded) if scope else with_sureness(loaded)


def with_sureness(loaded: Loaded) -> pd.DataFrame:
    """The report with `front_probability`, for which it waits where the run was just read."""
    return loaded.report.assign(front_probability=loaded.sure.result())


# An argument with an underscore is no part of a cache's key: the identity stands for it.


@st.cache_resource(max_entries=8, show_spinner=False)
def _summary(identity: Identity, _loaded: Loaded) -> str:
    return summary(_loaded.frame, against_chance_of(_loaded))


@st.cache_resource(max_entries=8, show_spinner=False)
def _against_chance(identity: Identity, _loaded: Loaded) -> str:
    return against_random(_loaded.frame, _loaded.run.objectives).sentence


@st.cache_resource(max_entries=8, show_spinner=False)
def _quantities(identity: Identity, _loaded: Loaded) -> dict[str, Quantity]:
    return quantities(_loaded)


@st.cache_resource(max_entries=4, show_spinner=False)
def _marked(identity: Identity, scope: Scope, _loaded: Loaded) -> pd.DataFrame:
    return marked(with_sureness(_loaded), report_under(_loaded, scope), kept_of(_loaded, scope))


@st.cache_resource(max_entries=32, show_spinner=False)
def _points(
    identity: Identity,
    axes: tuple[str, str, str | None],
    log: tuple[bool, bool],
    scope: Scope,
    _loaded: Loaded,
) -> tuple[pd.DataFrame, int]:
    known, (x, y, colour) = quantities_of(_loaded), axes
    third = None if colour is None else known[colour]
    report = marked_of(_loaded, scope)
    points, total = front_points(report, _loaded.noise, known[x], known[y], log, third)
    return points.assign(words=words_of(_loaded, points["trial"])), total


@st.cache_resource(max_entries=64, show_spinner=False)
def _reference(
    identity: Identity, text: str, _loaded: Loaded, _design: Design
) -> tuple[Design, str]:
    return reference_of(_loaded, _design)


@st.cache_resource(max_entries=64, show_spinner=False)
def _curves(
    identity: Identity, named: tuple[tuple[str, str], ...], _loaded: Loaded
) -> pd.DataFrame:
    return learning_curves(_loaded, dict(named))


@st.cache_resource(max_entries=8, show_spinner=False)
def _candidates(identity: Identity, _loaded: Loaded) -> list[Candidate]:
    return candidates(_loaded)


@st.cache_resource(max_entries=64, show_spinner=False)
def _notes(identity: Identity, trial: int, _loaded: Loaded) -> dict[str, str]:
    return notes(_loaded, trial)


@st.cache_resource(max_entries=512, show_spinner=False)
def _name(identity: Identity, trial: int, _loaded: Loaded) -> str:
    return spelled_name(_loaded, trial)


@st.cache_resource(max_entries=16, show_spinner=False)
def _kept(identity: Identity, scope: Scope, _loaded: Loaded) -> Bools:
    return scope.keeps(_loaded.report)


@st.cache_resource(max_entries=2, show_spinner=False)  # of a long run, tens of megabytes each
def _report_under(identity: Identity, scope: Scope, _loaded: Loaded) -> pd.DataFrame:
    kept = kept_of(_loaded, scope)
    return front_among(_loaded.report, _loaded.run.objectives, kept, _loaded.noise)

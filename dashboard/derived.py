"""Derived: what the pages draw, computed once per state of a run."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import streamlit as st

from dashboard.designs import reference_of, words
from dashboard.loading import Loaded, Stamp
from dashboard.points import front_points, hypervolume_by_source, summary
from dashboard.quantities import Quantity
from dashboard.scope import Bools, Scope
from dashboard.trials import learning_curves, quantities
from results.report import front_among
from search_space import Design

Identity = tuple[str, Stamp]


def quantities_of(loaded: Loaded) -> dict[str, Quantity]:
    """Every quantity that an axis may show."""
    return _quantities(loaded.identity, loaded)


def points_of(
    loaded: Loaded, x: Quantity, y: Quantity, log: tuple[bool, bool]
) -> tuple[pd.DataFrame, int]:
    """The points to draw, and how many could be."""
    return _points(loaded.identity, x.column, y.column, log, loaded)


def summary_of(loaded: Loaded) -> str:
    """What came of the trials, in a line."""
    return _summary(loaded.identity, loaded)


def growth_of(loaded: Loaded) -> pd.DataFrame:
    """Hypervolume by number of trials."""
    return _growth(loaded.identity, loaded)


def reference_for(loaded: Loaded, design: Design) -> tuple[Design, str]:
    """What a design is compared with."""
    return _reference(loaded.identity, design.to_json(), loaded, design)


def curves_of(loaded: Loaded, named: dict[str, str]) -> pd.DataFrame:
    """Learning curves of some designs."""
    return _curves(loaded.identity, tuple(named.items()), loaded)


def words_of(loaded: Loaded, trials: Iterable[int]) -> list[str]:
    """What the designs of some trials are, in words."""
    return [words(text) for text in loaded.design_texts(trials)]


def kept_of(loaded: Loaded, scope: Scope) -> Bools:
    """Which designs of the report are kept; ValueError says what is wrong with the condition."""
    return _kept(loaded.identity, scope, loaded)


def report_under(loaded: Loaded, scope: Scope) -> pd.DataFrame:
    """The report of the designs that are kept, with the front and the knee among these."""
    return _report_under(loaded.identity, scope, loaded) if scope else loaded.report


# An argument with an underscore is no part of a cache's key: the identity stands for it.


@st.cache_resource(max_entries=8, show_spinner=False)
def _summary(identity: Identity, _loaded: Loaded) -> str:
    return summary(_loaded.frame, _loaded.run.objectives)


@st.cache_resource(max_entries=8, show_spinner=False)
def _quantities(identity: Identity, _loaded: Loaded) -> dict[str, Quantity]:
    return quantities(_loaded)


@st.cache_resource(max_entries=32, show_spinner=False)
def _points(
    identity: Identity, x: str, y: str, log: tuple[bool, bool], _loaded: Loaded
) -> tuple[pd.DataFrame, int]:
    known = quantities_of(_loaded)
    points, total = front_points(_loaded.report, _loaded.noise, known[x], known[y], log)
    return points.assign(words=words_of(_loaded, points["trial"])), total


@st.cache_resource(max_entries=8, show_spinner=False)
def _growth(identity: Identity, _loaded: Loaded) -> pd.DataFrame:
    return hypervolume_by_source(_loaded.frame, _loaded.run.objectives)


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


@st.cache_resource(max_entries=16, show_spinner=False)
def _kept(identity: Identity, scope: Scope, _loaded: Loaded) -> Bools:
    return scope.keeps(_loaded.report)


@st.cache_resource(max_entries=8, show_spinner=False)
def _report_under(identity: Identity, scope: Scope, _loaded: Loaded) -> pd.DataFrame:
    return front_among(_loaded.report, _loaded.run.objectives, kept_of(_loaded, scope))

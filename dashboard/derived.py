"""Derived: what the pages draw, computed once per state of a run."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.designs import reference_of
from dashboard.loading import Loaded, Stamp
from dashboard.points import front_points, hypervolume_by_source, summary
from dashboard.quantities import Quantity
from dashboard.trials import learning_curves, quantities
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
    return front_points(_loaded.report, _loaded.noise, known[x], known[y], log)


@st.cache_resource(max_entries=8, show_spinner=False)
def _growth(identity: Identity, _loaded: Loaded) -> pd.DataFrame:
    return hypervolume_by_source(_loaded.frame, _loaded.run.objectives)


@st.cache_resource(max_entries=64, show_spinner=False)
def _reference(
    identity: Identity, text: str, _loaded: Loaded, _design: Design
) -> tuple[Design, str]:
    return reference_of(_loaded.frame, _design)


@st.cache_resource(max_entries=64, show_spinner=False)
def _curves(
    identity: Identity, named: tuple[tuple[str, str], ...], _loaded: Loaded
) -> pd.DataFrame:
    return learning_curves(_loaded, dict(named))

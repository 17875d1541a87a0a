"""Derived progress: what Overview and Timeline draw, computed once per state of a run."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.frames.derived import Identity, quantities_of
from dashboard.frames.growth import growth_by_source
from dashboard.frames.highlights import Highlight, gains, highlights
from dashboard.frames.progress import failures_by_reason
from dashboard.frames.spans import Worked, worked
from dashboard.frames.time_use import in_words, lane_table, shares_of_time, use_over_time
from dashboard.loading import Loaded


def growth_by_source_of(loaded: Loaded) -> pd.DataFrame:
    """Hypervolume by trials and by time, of the search, chance and presets."""
    return _growth(loaded.identity, loaded)


def failures_of(loaded: Loaded) -> pd.DataFrame:
    """Trials that came to nothing, by reason."""
    return _failures(loaded.identity, loaded)


def highlights_of(loaded: Loaded) -> list[Highlight]:
    """The designs to look at first."""
    return _highlights(loaded.identity, loaded)


def gains_of(loaded: Loaded) -> str:
    """What the search added to the presets, in sentences."""
    return _gains(loaded.identity, loaded)


def worked_of(loaded: Loaded) -> Worked:
    """Who did what when, of all rows."""
    return _worked(loaded.identity, loaded)


def use_of(loaded: Loaded) -> pd.DataFrame:
    """How many workers did what over the whole run."""
    return _use(loaded.identity, loaded)


def time_in_words(loaded: Loaded) -> str:
    """What the workers' time was spent on, in a sentence."""
    return _time_in_words(loaded.identity, loaded)


def lanes_of(loaded: Loaded) -> pd.DataFrame:
    """Every worker and the shares of its time."""
    return _lanes(loaded.identity, loaded)


@st.cache_resource(max_entries=8, show_spinner=False)
def _growth(identity: Identity, _loaded: Loaded) -> pd.DataFrame:
    return growth_by_source(_loaded.frame, _loaded.run.objectives)


@st.cache_resource(max_entries=8, show_spinner=False)
def _failures(identity: Identity, _loaded: Loaded) -> pd.DataFrame:
    return failures_by_reason(_loaded.frame)


@st.cache_resource(max_entries=8, show_spinner=False)
def _highlights(identity: Identity, _loaded: Loaded) -> list[Highlight]:
    return highlights(_loaded, quantities_of(_loaded))


@st.cache_resource(max_entries=8, show_spinner=False)
def _gains(identity: Identity, _loaded: Loaded) -> str:
    return gains(_loaded, quantities_of(_loaded))


@st.cache_resource(max_entries=4, show_spinner=False)
def _worked(identity: Identity, _loaded: Loaded) -> Worked:
    return worked(_loaded.path)


@st.cache_resource(max_entries=4, show_spinner=False)
def _use(identity: Identity, _loaded: Loaded) -> pd.DataFrame:
    return use_over_time(worked_of(_loaded))


@st.cache_resource(max_entries=8, show_spinner=False)
def _time_in_words(identity: Identity, _loaded: Loaded) -> str:
    return in_words(shares_of_time(worked_of(_loaded)))


@st.cache_resource(max_entries=4, show_spinner=False)
def _lanes(identity: Identity, _loaded: Loaded) -> pd.DataFrame:
    return lane_table(worked_of(_loaded))

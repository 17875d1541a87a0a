"""Derived axes: what the Parameters page shows, computed once per state of a run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from dashboard.frames.derived import Identity, kept_of, report_under
from dashboard.frames.parameters import sampled
from dashboard.loading import Loaded
from dashboard.scope import Scope
from results.design_axes import DesignAxes, design_axes
from results.importance import Importance, importances
from results.motifs import motifs
from results.slices import interactions

LEFT_OUT = 120  # designs that filters leave out and a chart shows pale


def axes_of(loaded: Loaded) -> DesignAxes:
    """The axes of the run's designs, of a sample where there are many."""
    return axes_under(loaded, Scope())


def axes_under(loaded: Loaded, scope: Scope) -> DesignAxes:
    """The axes of the designs that filters keep, and of some of the others."""
    return _axes(loaded.identity, scope, loaded)


def importance_of(loaded: Loaded, column: str) -> Importance:
    """What a metric depends on, in all designs."""
    return _importance(loaded.identity, column, loaded)


def interactions_of(loaded: Loaded, column: str) -> pd.DataFrame:
    """The pairs of axes that act together on a metric, in all designs."""
    return _interactions(loaded.identity, column, loaded)


def motifs_of(loaded: Loaded, scope: Scope) -> pd.DataFrame:
    """What the front of the designs kept has in common, beside all that are kept."""
    return _motifs(loaded.identity, scope, loaded)


def metric_of(loaded: Loaded, axes: DesignAxes, column: str) -> npt.NDArray[np.float64]:
    """A column of the report for the designs of `axes`."""
    values = pd.Series(loaded.report[column].to_numpy(), index=loaded.report["trial"].to_numpy())
    return values.reindex(axes.trials).to_numpy(dtype=np.float64, na_value=np.nan)


@st.cache_resource(max_entries=6, show_spinner=False)
def _axes(identity: Identity, scope: Scope, _loaded: Loaded) -> DesignAxes:
    rows = sampled(report_under(_loaded, scope))
    if scope:
        others = _loaded.report[~kept_of(_loaded, scope)]
        rows = pd.concat([rows, sampled(others, LEFT_OUT)])
    return design_axes(rows["trial"].astype(int).tolist(), _loaded.design_texts(rows["trial"]))


@st.cache_resource(max_entries=32, show_spinner="Fitting what the designs' values explain")
def _importance(identity: Identity, column: str, _loaded: Loaded) -> Importance:
    axes = axes_of(_loaded)
    return importances(axes, {column: metric_of(_loaded, axes, column)})[0]


@st.cache_resource(max_entries=32, show_spinner=False)
def _interactions(identity: Identity, column: str, _loaded: Loaded) -> pd.DataFrame:
    axes = axes_of(_loaded)
    return interactions(axes.figures, metric_of(_loaded, axes, column))


@st.cache_resource(max_entries=16, show_spinner=False)
def _motifs(identity: Identity, scope: Scope, _loaded: Loaded) -> pd.DataFrame:
    axes = axes_under(_loaded, scope)
    report = report_under(_loaded, scope)
    kept = axes.only(np.isin(axes.trials, report["trial"]))
    return motifs(kept, np.isin(kept.trials, report.loc[report["on_front"], "trial"]))

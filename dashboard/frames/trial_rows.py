"""Trial rows: which trials of a run are kept by a search, states, a tag and the scope, in order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc
import streamlit as st

from dashboard.frames.derived import Identity, kept_of
from dashboard.loading import Loaded
from dashboard.scope import Bools, Scope, sources_of
from results.annotations import Annotations
from results.outcomes import GIVEN_BACK, ON_THE_WAY, given_back

Rows = npt.NDArray[np.int64]  # places in the frame of a run
FRONT, KNEE, NEAR = "on the front", "knee", "within noise"
VALUE = re.compile(r'"?([A-Za-z_]+)"?[:=]([\w.+-]+)')  # window:512


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the table is to show; all trials where every part is empty."""

    find: str = ""
    states: frozenset[str] = frozenset()  # outcomes, as `standing` names them
    tag: str = ""
    scope: Scope = EVERYTHING
    only: tuple[int, ...] = ()  # trials, where only these are wanted

    def __bool__(self) -> bool:
        return bool(self.find or self.states or self.tag or self.scope or self.only)


def standing(frame: pd.DataFrame, report: pd.DataFrame) -> pd.DataFrame:
    """What a table of trials says beside the rows themselves, a line for each row of `frame`."""
    outcome = frame["state"].astype(str).mask(given_back(frame), GIVEN_BACK)
    designs = report.drop_duplicates("key").set_index("key")
    place = designs.index.get_indexer(pd.Index(frame["key"]))
    is_known = (place >= 0) & (frame["state"] == "complete").to_numpy()

    def of_design(values: npt.NDArray, nothing: object) -> npt.NDArray:
        padded = np.append(values, np.array([nothing], dtype=values.dtype))
        return padded[np.where(is_known, place, -1)]

    near = designs["within_noise_of_front"].fillna(False).to_numpy(dtype=bool)
    on_front = designs["on_front"].to_numpy(dtype=bool)
    words = np.where(on_front, FRONT, np.where(near, NEAR, "")).astype(object)
    words[designs["knee"].to_numpy(dtype=bool)] = KNEE
    return pd.DataFrame(
        {
            "outcome": outcome.replace("passed", ON_THE_WAY).to_numpy(dtype=object),
            "front": of_design(words, ""),
            "seeds": of_design(designs["seeds"].to_numpy(dtype=np.float64), np.nan),
            "seconds": (frame["finished_at"] - frame["started_at"]).to_numpy(dtype=np.float64),
        }
    )


def kept(loaded: Loaded, wanted: Wanted, annotations: Annotations) -> Bools:
    """Which rows of the run's frame are wanted; ValueError where the condition makes no sense."""
    frame = loaded.frame
    keep = np.ones(len(frame), dtype=bool)
    if wanted.only:
        keep &= np.isin(frame["trial"].to_numpy(), wanted.only)
    if wanted.states:
        keep &= np.isin(standing_of(loaded)["outcome"].astype(str), list(wanted.states))
    if wanted.tag:
        keep &= np.isin(frame["trial"].to_numpy(), annotations.tagged(wanted.tag))
    if wanted.scope:
        keep &= _in_scope(loaded, wanted.scope)
    for term in wanted.find.split()[:12]:
        keep &= _found(loaded, term.casefold(), annotations)
    return keep


def ordered(loaded: Loaded, rows: Rows, sort: str, descending: bool) -> Rows:
    """The rows in the order of a column; those that lack it are last, equal ones by number."""
    table = standing_of(loaded) if sort in standing_of(loaded) else loaded.frame
    trials = loaded.frame["trial"].to_numpy()[rows]
    values = table[sort].to_numpy()[rows] if sort in table else trials
    if pd.api.types.is_numeric_dtype(table[sort]) if sort in table else True:
        keys = np.asarray(values, dtype=np.float64)
    else:
        codes, _ = pd.factorize(values, sort=True)
        keys = np.where(codes < 0, np.nan, codes)
    return rows[np.lexsort((trials, -keys if descending else keys))]


def _in_scope(loaded: Loaded, scope: Scope) -> Bools:
    """Trials of the designs that are kept; origins hold for trials without figures as well."""
    keep = np.ones(len(loaded.frame), dtype=bool)
    if scope.sources:
        keep &= np.isin(sources_of(loaded.frame["origin"]), list(scope.sources))
    bounds = replace(scope, sources=frozenset())
    if bounds:
        keys = loaded.report["key"][kept_of(loaded, bounds)]
        keep &= loaded.frame["key"].isin(keys).to_numpy()
    return keep


def _found(loaded: Loaded, term: str, annotations: Annotations) -> Bools:
    """Rows in which a term occurs: see `FIND_HELP` of the page."""
    frame = loaded.frame
    found = _texts_with(frame["origin"], term) | _texts_with(frame["reason"], term)
    noted = [
        trial
        for trial, said in annotations.by_trial.items()
        if term in said.note.casefold() or any(term in tag.casefold() for tag in said.tags)
    ]
    trials = frame["trial"].to_numpy()
    found |= np.isin(trials, noted)
    if term.isdecimal() and term.isascii():
        return found | (trials == int(term[:18]))
    return found | np.isin(trials, _designs_with(loaded, term))


def _texts_with(column: pd.Series, term: str) -> Bools:
    """Few texts are distinct, so each is looked at once."""
    codes, texts = pd.factorize(column)
    hits = np.array([term in str(text).casefold() for text in texts] + [False], dtype=bool)
    return hits[codes]


def _designs_with(loaded: Loaded, term: str) -> npt.NDArray[np.int64]:
    """Trials in whose design a term occurs: a word of it, or `window:512`."""
    rows = loaded.texts.result()
    if value := VALUE.fullmatch(term):
        name, number = (re.escape(part) for part in value.groups())
        pattern = rf'"{name}": "?{number}(\.0)?["\s,}}\]]'
        hits = pc.match_substring_regex(  # pyright: ignore[reportAttributeAccessIssue]
            rows["design"], pattern, ignore_case=True
        )
    else:
        hits = pc.match_substring(  # pyright: ignore[reportAttributeAccessIssue]
            rows["design"], term, ignore_case=True
        )
    return rows["trial"].filter(hits).to_numpy()


def standing_of(loaded: Loaded) -> pd.DataFrame:
    """`standing` of a run, computed once."""
    return _standing(loaded.identity, loaded)


def rows_of(
    loaded: Loaded, wanted: Wanted, annotations: Annotations, sort: str, descending: bool
) -> Rows:
    """The places of the wanted rows in order, computed once for each state of run and notes."""
    noted: Iterable[object] = ()
    if wanted.find or wanted.tag:
        noted = annotations.by_trial.items()
    return _rows(loaded.identity, wanted, tuple(noted), sort, descending, loaded, annotations)


@st.cache_resource(max_entries=4, show_spinner=False)
def _standing(identity: Identity, _loaded: Loaded) -> pd.DataFrame:
    return standing(_loaded.frame, _loaded.report)


@st.cache_resource(max_entries=16, show_spinner=False)
def _rows(
    identity: Identity,
    wanted: Wanted,
    noted: tuple[object, ...],
    sort: str,
    descending: bool,
    _loaded: Loaded,
    _annotations: Annotations,
) -> Rows:
    rows = np.flatnonzero(kept(_loaded, wanted, _annotations))
    return ordered(_loaded, rows, sort, descending)

"""Loading: runs from disk, read again only where something was added since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from results import Noise, Run, RunError, estimate_noise, front_report, list_runs, read_run
from results.folder import DESCRIPTION
from results.manifest import read_manifest
from results.maps import HeadMap, maps_path, read_heads, read_map

Stamp = tuple[int, int, int]
STAMP_ATTEMPTS = 5  # one fails only if a fold removed a file within it


@dataclass(frozen=True, slots=True)
class Loaded:
    """A run at one instant with what every page needs; shared by sessions, never changed."""

    identity: tuple[str, Stamp]  # what the caches go by
    run: Run
    frame: pd.DataFrame  # one row per trial
    report: pd.DataFrame  # one row per design with every objective
    noise: Noise

    def row_of(self, trial: int) -> pd.Series | None:
        """The last row of a trial."""
        rows = self.frame[self.frame["trial"] == trial]
        return None if rows.empty else rows.iloc[-1]

    def design_of(self, trial: int) -> pd.Series | None:
        """The report's row of the design that a trial trained, seeds taken together."""
        row = self.row_of(trial)
        if row is None:
            return None
        found = self.report[self.report["key"] == row["key"]]
        return None if found.empty else found.iloc[0]

    @property
    def knee(self) -> int | None:
        """The trial at the front's knee."""
        found = self.report[self.report["knee"]]
        return None if found.empty else int(found.iloc[0]["trial"])


def runs_under(root: Path) -> dict[str, Path]:
    """The runs right under a folder, by the name of their folder."""
    try:
        return {path.name: path for path in list_runs(root)}
    except OSError as error:
        raise RunError(f"{root} cannot be read: {error.strerror}") from error


def open_run(path: Path) -> Loaded:
    """The run in a folder as it is now; RunError says in a sentence why it cannot be read."""
    try:
        return _load(str(path), stamp(path))
    except FileNotFoundError as error:
        if path.is_dir():
            raise RunError(f"{path} lacks {error.filename}; restore it from a backup") from error
        raise RunError(f"{path} is not there any more; was it moved or deleted?") from error
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({type(error).__name__}: {error})") from error


def stamp(path: Path) -> Stamp:
    """Changes whenever a row or an ask is added, or the run is replaced by another."""
    for _ in range(STAMP_ATTEMPTS - 1):
        try:
            return _stamp(path)
        except FileNotFoundError:
            continue
    return _stamp(path)


def _stamp(path: Path) -> Stamp:
    born = (path / DESCRIPTION).stat().st_mtime_ns
    manifest = read_manifest(path)
    return born, manifest.number, (path / manifest.journal).stat().st_size


@st.cache_resource(max_entries=4, show_spinner="Reading the run")
def _load(path: str, at: Stamp) -> Loaded:
    """Keyed by the stamp: the same run with one row more is another entry."""
    run = read_run(path)
    frame = run.frame()
    missing = {o.column: float("nan") for o in run.objectives if o.column not in frame}
    frame = frame.assign(**missing)
    return Loaded(
        (path, at), run, frame, front_report(frame, run.objectives), estimate_noise(frame)
    )


def open_heads(path: Path, trial: int) -> pd.DataFrame | None:
    """The figures of every head whose attention was mapped; None where that was not done."""
    at = _stamp_of_maps(path, trial)
    return None if at is None else _heads(str(path), trial, at)


def open_map(path: Path, trial: int, of: str, layer: int, head: int) -> HeadMap:
    """The weights of one head on the input called `of`."""
    return _map(str(path), trial, _stamp_of_maps(path, trial), of, layer, head)


def _stamp_of_maps(path: Path, trial: int) -> tuple[int, int] | None:
    try:
        found = maps_path(path, trial).stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


@st.cache_resource(max_entries=16, show_spinner=False)
def _heads(path: str, trial: int, at: tuple[int, int]) -> pd.DataFrame | None:
    return read_heads(Path(path), trial)


@st.cache_resource(max_entries=32, show_spinner=False)
def _map(
    path: str, trial: int, at: tuple[int, int] | None, of: str, layer: int, head: int
) -> HeadMap:
    return read_map(Path(path), trial, of, layer, head)

"""Loading: runs from disk, read again only where something was added since."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st

from results import (
    Noise,
    Run,
    RunError,
    estimate_noise,
    front_probability,
    front_report,
    list_runs,
    read_heartbeat,
    read_run,
)
from results.folder import DESCRIPTION
from results.manifest import read_manifest
from results.maps import HeadMap, maps_path, read_heads, read_map
from results.reader import read_rows

Stamp = tuple[int, int, int]
STAMP_ATTEMPTS = 5  # one fails only if a fold removed a file within it
HEAVY = frozenset({"design", "curve_tokens", "curve_loss", "gradients", "spans", "notes"})
MOST_ROWS = 250_000  # of all runs that are kept in memory
PATIENCE = 10  # a run that took a second to load is not loaded again within ten


@dataclass
class Loaded:
    """A run at one instant with what every page needs; shared by sessions, never changed.

    Designs are texts beside the frames, curves and notes are on disk: `design_texts`, `details`.
    """

    identity: tuple[str, Stamp]  # what the caches go by
    run: Run
    frame: pd.DataFrame  # one row per trial
    report: pd.DataFrame  # one row per design with every objective
    noise: Noise
    texts: Future[pa.Table]  # trial and design of every row; see `design_texts`
    sure: Future[pd.Series]  # how sure it is that each design of the report is on the front
    seconds: float = 0.0  # that loading took
    loaded_at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.run.path

    def row_of(self, trial: int) -> pd.Series | None:
        """The last row of a trial, without its design."""
        rows = self.frame[self.frame["trial"] == trial]
        return None if rows.empty else rows.iloc[-1]

    def design_of(self, trial: int) -> pd.Series | None:
        """The report's row of the design that a trial trained, seeds taken together."""
        row = self.row_of(trial)
        if row is None:
            return None
        found = self.report[self.report["key"] == row["key"]]
        return None if found.empty else found.iloc[0]

    def design_text(self, trial: int) -> str:
        """The design of a trial of this run as JSON."""
        return self.design_texts([trial])[0]

    def design_texts(self, trials: Iterable[int]) -> list[str]:
        """The designs of trials of this run as JSON, in their order."""
        numbers, places = self._places
        rows = places[np.searchsorted(numbers, np.asarray(list(trials), dtype=np.int64))]
        chunks = self.texts.result()["design"].chunks
        ends = np.cumsum([len(chunk) for chunk in chunks])  # take() would join all chunks first
        of = np.searchsorted(ends, rows, side="right")
        return [
            chunks[chunk][int(row - ends[chunk])].as_py()  # counted from the chunk's end
            for chunk, row in zip(of.tolist(), rows, strict=True)
        ]

    def details(self, trials: Collection[int], columns: Collection[str]) -> pd.DataFrame:
        """Every row of some trials with columns that are read from disk when they are looked at."""
        return read_rows(self.path, trials, columns).to_pandas()

    @property
    def knee(self) -> int | None:
        """The trial at the front's knee."""
        found = self.report[self.report["knee"]]
        return None if found.empty else int(found.iloc[0]["trial"])

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of trials in order, and the row of each among the texts."""
        return np.unique(self.texts.result()["trial"].to_numpy(), return_index=True)


def runs_under(root: Path) -> dict[str, Path]:
    """The runs right under a folder, by the name of their folder."""
    try:
        return {path.name: path for path in list_runs(root)}
    except OSError as error:
        raise RunError(f"{root} cannot be read: {error.strerror}") from error


def open_run(path: Path) -> Loaded:
    """The run in a folder as it is now; RunError says in a sentence why it cannot be read."""
    try:
        may_wait = read_heartbeat(path).live  # then whoever looks comes back by itself
        return _SHELF.get(path, stamp(path), may_wait=may_wait)
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


class Shelf:
    """The runs in memory: of each the newest instant, all together of a bounded size."""

    def __init__(self) -> None:
        self._runs: dict[Path, Loaded] = {}  # the one that was looked at last is the last
        self._lock = threading.Lock()

    def get(self, path: Path, at: Stamp, *, may_wait: bool) -> Loaded:
        """The run at this instant; if it may wait, a moment before where loading takes long."""
        with self._lock:
            known = self._runs.pop(path, None)
            if known is None or not _is_fresh(known, at, may_wait):
                del known  # two instants of a large run would take twice the memory
                known = _load(path, at)
            self._runs[path] = known
            while sum(run.run.rows.num_rows for run in self._runs.values()) > MOST_ROWS:
                if len(self._runs) == 1:
                    break
                del self._runs[next(iter(self._runs))]
            return known


def _is_fresh(known: Loaded, at: Stamp, may_wait: bool) -> bool:
    """Whether it is this instant's, or of the same run and too costly to load again already."""
    if known.identity[1] == at:
        return True
    age = time.monotonic() - known.loaded_at
    return may_wait and known.identity[1][0] == at[0] and age < PATIENCE * known.seconds


_SHELF = Shelf()  # of the whole process, for all sessions and before there is one
_BESIDE = ThreadPoolExecutor(2, "beside")  # for what leaves the interpreter free to do the rest


def _load(path: Path, at: Stamp) -> Loaded:
    start = time.monotonic()
    run = read_run(path, without=HEAVY)
    texts = _BESIDE.submit(read_rows, path, None, ["design"])
    frame = run.frame()
    missing = {o.column: float("nan") for o in run.objectives if o.column not in frame}
    frame = frame.assign(**missing)
    noise = estimate_noise(frame)
    report = front_report(frame, run.objectives, noise=noise, sure=False)
    sure = _BESIDE.submit(front_probability, report, run.objectives, noise)
    seconds = time.monotonic() - start
    return Loaded((str(path), at), run, frame, report, noise, texts, sure, seconds)


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

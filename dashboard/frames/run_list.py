"""Run list: what is known of every run under a folder without reading its rows.

Descriptions, statuses and manifests are small; sizes and best values are looked up a few at a time
and kept until the run changes. One that cannot be read has a sentence in its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.heartbeat import BADGES
from dashboard.loading import Stamp, stamp
from results import Heartbeat, Objective, RunError, parse_objectives, read_heartbeat
from results.folder import DESCRIPTION, read_description
from results.manifest import read_manifest
from results.mirror_state import mirror_state
from results.reader import read_rows

READ_S = 0.35  # at a time, for what needs more than small files
MOST_ROWS = 20_000  # of a run whose best value is looked up


@dataclass(frozen=True)
class RunFacts:
    """One run, as its small files tell; a `problem` is why it cannot be shown."""

    name: str
    path: Path
    created_at: float  # unix seconds
    problem: str | None = None
    beat: Heartbeat | None = None
    objectives: tuple[Objective, ...] = ()
    task: str = ""
    strategy: str = ""
    version: str = ""
    stored: int = 0  # rows in segments
    address: str = ""  # of its copy in an object store
    at: Stamp | None = None

    @property
    def state(self) -> str:
        """As the badge in the sidebar says it."""
        if self.problem is not None:
            return "Cannot be shown"
        return BADGES[self.beat.state].split(": ", 1)[1] if self.beat else ""


@dataclass
class Looked:
    """What was looked up of runs, by folder, and the stamp it holds for."""

    best: dict[Path, tuple[Stamp, float | None]] = field(default_factory=dict)
    sizes: dict[Path, tuple[Stamp, int]] = field(default_factory=dict)


def newest(runs: Mapping[str, Path]) -> str:
    """The run that was started last; the last by name where none can be read."""
    return max(runs, key=lambda name: (_created(runs[name]), name))


def facts_of(runs: Mapping[str, Path]) -> list[RunFacts]:
    """Every run, the newest first; one that cannot be read does not hide the others."""
    return sorted((_facts(name, path) for name, path in runs.items()), key=_newest_first)


def _newest_first(facts: RunFacts) -> tuple[float, str]:
    return -facts.created_at, facts.name


def _facts(name: str, path: Path) -> RunFacts:
    created = _created(path)
    try:
        description = read_description(path)
        objectives = parse_objectives(description["objectives"])
        at, manifest = stamp(path), read_manifest(path)
    except RunError as error:
        return RunFacts(name, path, created, problem=str(error))
    except FileNotFoundError as error:
        lacks = f"it lacks {Path(str(error.filename)).name}; was it moved or deleted?"
        return RunFacts(name, path, created, problem=lacks)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        return RunFacts(name, path, created, problem=f"it is damaged ({error})")
    config = description["config"]
    return RunFacts(
        name=name,
        path=path,
        created_at=created,
        beat=read_heartbeat(path),
        objectives=objectives,
        task=", ".join(_keys(config.get("task"))),
        strategy=_strategy(config, description["provenance"]),
        version=str(description["attnas"])[:40],
        stored=sum(segment.rows for segment in manifest.segments),
        address=str(mirror_state(path).get("address") or "")[:300],
        at=at,
    )


def _keys(part: Any) -> list[str]:
    return [str(key)[:40] for key in part] if isinstance(part, dict) else []


def _strategy(config: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    if "pruning" in provenance:
        return "pruning"
    search = config.get("search")
    return str(search.get("strategy", ""))[:60] if isinstance(search, dict) else ""


def _created(path: Path) -> float:
    """When a run was started, from its description; its file's time where that says nothing."""
    try:
        file = (path / DESCRIPTION).stat()
    except OSError:
        return 0.0
    return _created_at(str(path), file.st_mtime_ns, file.st_mtime)


@st.cache_resource(max_entries=4096, show_spinner=False)
def _created_at(path: str, _stamp: int, otherwise: float) -> float:
    try:
        at = read_description(Path(path))["created_at"]
    except (RunError, OSError):
        return otherwise
    return float(at) if np.isfinite(at) else otherwise


def look_up(facts: Iterable[RunFacts], looked: Looked, seconds: float = READ_S) -> int:
    """Sizes and best values, for so long; how many runs are left for the next time."""
    until, left = time.monotonic() + seconds, 0
    for run in facts:
        if run.at is None or _known(looked.sizes.get(run.path), run.at):
            continue
        if time.monotonic() > until:
            left += 1
            continue
        looked.best[run.path] = run.at, _best(run)
        looked.sizes[run.path] = run.at, _size(run.path)
    return left


def _known(entry: tuple[Stamp, int] | None, at: Stamp) -> bool:
    return entry is not None and entry[0] == at


def _best(run: RunFacts) -> float | None:
    """Of the first objective over complete trials; None where there is none, or rows are many."""
    first = run.objectives[0]
    if run.stored > MOST_ROWS:
        return None
    try:
        rows = read_rows(run.path, None, ["state", first.column]).to_pandas()
    except (RunError, OSError, KeyError, TypeError, ValueError):
        return None
    if first.column not in rows:
        return None
    values = rows.loc[rows["state"] == "complete", first.column].dropna()
    if values.empty:
        return None
    return float(values.max() if first.direction == "max" else values.min())


def _size(path: Path) -> int:
    """Bytes of all its files, links not followed."""
    total, folders = 0, [str(path)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # removed meanwhile
            continue
    return total


def run_table(facts: Iterable[RunFacts], looked: Looked, find: str, viewed: str) -> pd.DataFrame:
    """The readable runs as people read them; `find` is looked for in what the table says."""
    rows = [_row(run, looked, viewed) for run in facts if run.problem is None]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    words = find.casefold().split()
    if words and len(table):
        texts = table[["Run", "State", "Task", "Strategy", "Objectives", "attnas", "Stored at"]]
        joined = texts.astype(str).agg(" ".join, axis=1).str.casefold()
        table = table[[all(word in text for word in words) for text in joined]]
    table = table.reset_index(drop=True)
    return table if (table["Stored at"] != "").any() else table.drop(columns="Stored at")


COLUMNS = (
    "In view", "Run", "State", "Started", "Trials", "Budget", "Done", "Best", "Task", "Strategy",
    "Size", "attnas", "Objectives", "Stored at",
)  # fmt: skip


def _row(run: RunFacts, looked: Looked, viewed: str) -> dict[str, Any]:
    beat = run.beat
    done = None if beat is None else beat.trials_done
    best, size = looked.best.get(run.path), looked.sizes.get(run.path)
    first = run.objectives[0]
    return {
        "In view": "●" if run.name == viewed else "",
        "Run": run.name,
        "State": run.state,
        "Started": pd.Timestamp(run.created_at, unit="s", tz="UTC"),
        "Trials": run.stored if done is None else done,
        "Budget": None if beat is None else beat.trials_budget,
        "Done": None if beat is None else beat.share_done,
        "Best": "" if best is None else "–" if best[1] is None else f"{first.column} {best[1]:.3f}",
        "Objectives": ", ".join(f"{o.column} ({o.direction})" for o in run.objectives),
        "Task": run.task,
        "Strategy": run.strategy,
        "Size": None if size is None else size[1] / 2**20,
        "attnas": run.version,
        "Stored at": run.address,
    }

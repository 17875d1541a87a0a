"""Spans: who did what when, from the rows of a run, as bars and their parts.

Times are seconds since the first trial began. Rows of attempts that went on through rungs are one
bar; a trial that was stopped and taken up again has several.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from dashboard.frames.units import seconds_text
from results import Heartbeat
from results.reader import read_rows

PHASES = ("training", "measuring", "scoring", "counting", "starting", "waiting")
WHOLE, OTHER, IDLE, RUNNING = "trial, no detail", "other", "idle", "running now"
STOPPED_S = 60.0  # nobody worked for so long: the driver was away, or waited
COLUMNS = (
    "attempt", "seed", "rung", "state", "reason", "started_at", "finished_at", "worker", "origin",
    "train_seconds", "measure_seconds", "spans",
)  # fmt: skip


@dataclass(frozen=True)
class Worked:
    """All bars of a run and what each is made of; shared, never changed."""

    began_at: float  # unix seconds
    bars: pd.DataFrame  # trial, worker, start, end, state, reason, origin, rung, detail, ...
    parts: pd.DataFrame  # bar (a row's number), phase, start, end
    away: pd.DataFrame  # start and end of every time in which nobody worked

    @cached_property
    def seconds(self) -> float:
        """From the first start to the last end."""
        return 0.0 if self.bars.empty else float(self.bars["end"].max())

    @cached_property
    def lanes(self) -> list[str]:
        """The workers, by node and then process."""
        return sorted(self.bars["worker"].unique(), key=lane_key)


def worked(path: Path) -> Worked:
    """What the rows of a run say."""
    return worked_of_table(read_rows(path, None, COLUMNS))


def worked_of_table(table: pa.Table) -> Worked:
    """The same from rows as columns; older ones have no spans."""
    rows = table.drop_columns([n for n in ("spans",) if n in table.column_names]).to_pandas()
    if rows.empty:
        nothing = pd.DataFrame({"start": [], "end": []})
        return Worked(0.0, pd.DataFrame(columns=list(BAR_COLUMNS)), nothing, nothing)
    for name in ("train_seconds", "measure_seconds"):
        rows[name] = rows[name].astype(float) if name in rows else np.nan
    parts = _parts(table, rows)
    rows["begun"] = rows["started_at"]
    early = parts[parts["start"] < parts["bar"].map(rows["started_at"])]
    if len(early):  # processes that start before the trial does
        first = early.groupby("bar")["start"].min()
        rows.loc[first.index, "begun"] = np.minimum(rows.loc[first.index, "begun"], first)
    # A trial that goes on in the same worker tells of everything since it began.
    same = ["trial", "seed", "attempt", "worker", "started_at"]
    kept = rows.sort_values("rung", kind="stable").drop_duplicates(same, keep="last").sort_index()
    began_at = float(kept["begun"].min())
    numbers = pd.Series(np.arange(len(kept)), index=kept.index)
    parts = parts[parts["bar"].isin(kept.index)]
    parts = parts.assign(
        bar=parts["bar"].map(numbers),
        start=parts["start"] - began_at,
        end=parts["end"] - began_at,
    ).reset_index(drop=True)
    bars = kept.reset_index(drop=True).assign(
        start=kept["begun"].to_numpy() - began_at,
        end=np.maximum(kept["finished_at"], kept["begun"]).to_numpy() - began_at,
        worker=kept["worker"].astype(str).str.slice(0, 80).to_numpy(),
        detail=np.isin(np.arange(len(kept)), parts["bar"]),
    )
    bars["reason"] = bars["reason"].astype("string").fillna("").astype(str).str.slice(0, 200)
    bars["origin"] = bars["origin"].astype(str).str.slice(0, 80)
    return Worked(began_at, bars[list(BAR_COLUMNS)], parts, times_away(bars))


BAR_COLUMNS = (
    "trial", "worker", "start", "end", "state", "reason", "origin", "rung", "attempt", "seed",
    "detail", "train_seconds", "measure_seconds",
)  # fmt: skip


def _parts(table: pa.Table, rows: pd.DataFrame) -> pd.DataFrame:
    """Every span of every row, `bar` being the row's number; times in unix seconds."""
    if "spans" not in table.column_names:
        return pd.DataFrame({"bar": np.zeros(0, int), "phase": [], "start": [], "end": []})
    lists = table["spans"].combine_chunks()
    flat = lists.flatten()
    counts = np.asarray(lists.value_lengths().fill_null(0))
    bar = np.repeat(np.arange(len(rows)), counts)
    at = rows["started_at"].to_numpy(dtype=np.float64)[bar]
    names = flat.field("name").to_pandas().astype(str)
    return pd.DataFrame(
        {
            "bar": bar,
            "phase": names.where(names.isin(PHASES), OTHER).to_numpy(),
            "start": at + np.asarray(flat.field("start"), dtype=np.float64),
            "end": at + np.asarray(flat.field("end"), dtype=np.float64),
        }
    )


def times_away(bars: pd.DataFrame) -> pd.DataFrame:
    """Times of a minute and more between bars in which no worker had a trial."""
    ordered = bars.sort_values("start", kind="stable")
    until = np.maximum.accumulate(ordered["end"].to_numpy(dtype=np.float64))[:-1]
    after = ordered["start"].to_numpy(dtype=np.float64)[1:]
    gap = after - until > STOPPED_S
    return pd.DataFrame({"start": until[gap], "end": after[gap]})


def lane_key(worker: str) -> tuple[str, tuple[int, ...], str]:
    """Nodes in order, and their processes by number."""
    node, _, process = worker.rpartition(":") if ":" in worker else (worker, "", "")
    stem = re.sub(r"\d+", "", node)
    numbers = tuple(int(n[:15]) for n in re.findall(r"\d+", node))
    return stem, (*numbers, int(process[:15]) if process.isdecimal() else -1), worker


def work_within(worked: Worked, low: float, high: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars and parts that are, at least in part, within a window."""
    within = ((worked.bars["end"] >= low) & (worked.bars["start"] <= high)).to_numpy()
    return worked.bars[within], worked.parts[within[worked.parts["bar"].to_numpy(dtype=int)]]


def thinned(bars: pd.DataFrame, most: int) -> pd.DataFrame:
    """The last so many bars."""
    return bars.sort_values("end", kind="stable").tail(most)


def segments(worked: Worked, bars: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: a thin bar for each trial, and what it did on top; `bar` is its number."""
    shown = parts[parts["bar"].isin(bars.index)]
    about = worked.bars.loc[shown["bar"].to_numpy()].reset_index(drop=True)
    detail = about.assign(
        phase=shown["phase"].to_numpy(),
        begin=shown["start"].to_numpy(),
        stop=shown["end"].to_numpy(),
    )
    whole = bars.assign(
        phase=np.where(bars["detail"].to_numpy(dtype=bool), OTHER, WHOLE),
        begin=bars["start"],
        stop=bars["end"],
    )
    drawn = pd.concat([whole, detail], ignore_index=True)
    drawn["took"] = _times(drawn["stop"] - drawn["begin"])
    drawn["whole"] = _times(drawn["end"] - drawn["start"])
    return drawn


def running_segments(worked: Worked, beat: Heartbeat, now: float) -> pd.DataFrame:
    """The trials that are on their way, as far as it is known where; `now` in unix seconds."""
    rows = [
        {
            "trial": -1 if running.trial is None else running.trial,
            "worker": running.worker[:80],
            "phase": RUNNING,
            "begin": max(0.0, now - running.seconds - worked.began_at),
            "stop": max(0.0, now - worked.began_at),
            "state": "running",
            "said": (running.phase or "no more is known")[:80],
            "origin": running.origin[:80],
        }
        for running in beat.running
        if beat.live and running.worker is not None and running.seconds is not None
    ]
    frame = pd.DataFrame(rows, columns=[*_RUNNING])
    took = (frame["stop"] - frame["begin"]).astype(float)
    ends = {"start": frame["begin"], "end": frame["stop"]}
    return frame.assign(**ends, took=_times(took), whole="not known yet")


_RUNNING = ("trial", "worker", "phase", "begin", "stop", "state", "said", "origin")


def _times(seconds: Sequence[float] | pd.Series) -> list[str]:
    return [seconds_text(float(value)) for value in seconds]

"""Progress: how far a run is, how fast it goes, when it will end, and what failed on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from dashboard.frames.spans import times_away
from dashboard.heartbeat import DOING
from results import Heartbeat
from results.outcomes import given_back

RECENT = 20  # trials that the recent rate is taken over
BROKEN = ("failed", "lost", "diverged")  # for a reason that is none of the run's limits
Ends = Literal["trials", "deadline"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What the figures at the top of the Overview say; None is unknown."""

    done: int
    budget: int | None
    rate: float | None  # trials an hour, over the time that drivers worked
    recent: float | None  # the same over the last trials
    seconds_left: float | None  # while live
    ends_by: Ends | None  # what ends it then
    elapsed: float | None  # seconds that drivers worked
    broken: int
    refused: int  # infeasible: a limit was broken, or the memory is too small
    ended: int  # trials that came to anything

    @property
    def share(self) -> float | None:
        """Of the budget of trials."""
        return min(1.0, self.done / self.budget) if self.budget else None

    @property
    def broken_share(self) -> float | None:
        """Of the trials that ended."""
        return self.broken / self.ended if self.ended else None


def progress_of(frame: pd.DataFrame, beat: Heartbeat, now: float) -> Progress:
    """The figures of a run's frame and its driver's last report; `now` in unix seconds."""
    states = frame["state"].astype(str)
    ended = frame[states.ne("passed") & ~given_back(frame)]
    # A driver that tells of the trials counts those that stand; without one, rows do.
    done = len(ended) if beat.trials_done is None else beat.trials_done
    elapsed = _elapsed(frame) if beat.elapsed_s is None else beat.elapsed_s
    rate = 3600 * done / elapsed if elapsed and done else None
    recent = _recent(frame, ended, beat, now) if beat.live else None
    left, by = _left(beat, done, recent or rate)
    counts = ended["state"].astype(str).value_counts()
    return Progress(
        done=done,
        budget=beat.trials_budget,
        rate=rate,
        recent=recent,
        seconds_left=left,
        ends_by=by,
        elapsed=elapsed,
        broken=int(sum(counts.get(state, 0) for state in BROKEN)),
        refused=int(counts.get("infeasible", 0)),
        ended=len(ended),
    )


def _elapsed(frame: pd.DataFrame) -> float | None:
    """From the first start to the last end, where no driver says."""
    if frame.empty:
        return None
    return max(0.0, float(frame["finished_at"].max() - frame["started_at"].min()))


def _recent(frame: pd.DataFrame, ended: pd.DataFrame, beat: Heartbeat, now: float) -> float | None:
    """Trials an hour since the last but so many ended, without times in which nobody worked."""
    times = np.sort(ended["finished_at"].to_numpy(dtype=np.float64))[-RECENT - 1 :]
    if len(times) < 2 or now <= times[0]:
        return None
    since, until = float(times[0]), max(now, float(times[-1]))
    late = frame.loc[frame["finished_at"] >= since, ["started_at", "finished_at"]]
    begun = [now - running.seconds for running in beat.running if running.seconds is not None]
    away = times_away(
        pd.DataFrame(
            {
                "start": [*late["started_at"], *begun],
                "end": [*late["finished_at"], *(until for _ in begun)],
            }
        )
    )
    worked = until - since - float((away["end"] - away["start"]).sum())
    return 3600 * (len(times) - 1) / worked


def _left(beat: Heartbeat, done: int, rate: float | None) -> tuple[float | None, Ends | None]:
    """Seconds until the trials or the time are used up, whichever is first."""
    if not beat.live:
        return None, None
    ends: list[tuple[float, Ends]] = []
    if beat.trials_budget and rate:
        ends.append((3600 * max(0, beat.trials_budget - done) / rate, "trials"))
    if beat.seconds_left is not None:
        ends.append((beat.seconds_left, "deadline"))
    return min(ends, default=(None, None))


def failures_by_reason(frame: pd.DataFrame, most: int = 50) -> pd.DataFrame:
    """Trials that came to nothing, grouped: state, count, the newest example, and its reason.

    Reasons that differ in numbers alone are one; the commonest group is first.
    """
    bad = frame[frame["state"].isin([*BROKEN, "infeasible"])]
    columns = ["state", "count", "share", "trial", "reason"]
    if bad.empty:
        return pd.DataFrame(columns=columns)
    reasons = bad["reason"].astype("string").fillna("no reason was recorded")
    alike = reasons.str.replace(r"\(traceback in .*?\)|\(its output is in .*?\)", "", regex=True)
    alike = alike.str.replace(r"\d[\d.,e+-]*", "#", regex=True)
    kept = bad.assign(reason=reasons, alike=alike, state=bad["state"].astype(str))
    groups = kept.groupby(["state", "alike"], sort=False).agg(
        count=("trial", "size"), trial=("trial", "last"), reason=("reason", "last")
    )
    groups = groups.sort_values("count", ascending=False, kind="stable").reset_index()
    groups["share"] = groups["count"] / max(1, len(frame))
    groups["reason"] = groups["reason"].str.slice(0, 300)
    return groups[columns].head(most)


def workers_table(beat: Heartbeat, most: int = 64) -> pd.DataFrame:
    """What each busy worker is at, in the order of their names."""
    rows = [
        {
            "Worker": running.worker or "",
            "Trial": running.trial,
            "Doing": DOING.get(running.phase or "", running.phase or "running"),
            "For": running.seconds if running.phase_seconds is None else running.phase_seconds,
            "Since it began": running.seconds,
            "Training": running.share,
            "Origin": running.origin[:80],
        }
        for running in beat.running[:most]
    ]
    columns = ["Worker", "Trial", "Doing", "For", "Since it began", "Training", "Origin"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values("Worker", kind="stable", ignore_index=True)

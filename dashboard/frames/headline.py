"""Headline: the row of figures at the top of the Overview, in words."""

from __future__ import annotations

import time

from dashboard.frames.progress import Progress
from dashboard.heartbeat import duration
from results import Heartbeat

Figure = tuple[str, str, str]  # what it is, its value, and a note


def figures(progress: Progress, beat: Heartbeat, now: float) -> list[Figure]:
    """What is known of a run's progress; `now` in unix seconds."""
    found = [_done(progress), _rate(progress)]
    found.append(_left(progress, now) if beat.live else _took(progress))
    if beat.live:
        workers = "unknown" if beat.workers is None else f"of {beat.workers:,}"
        found.append(("Workers busy", f"{len(beat.running):,} {workers}", _said(beat)))
    elif beat.workers is not None:
        found.append(("Workers", f"{beat.workers:,}", "at once"))
    share = progress.broken_share
    note = f"{progress.broken:,} of {progress.ended:,}; {progress.refused:,} infeasible"
    found.append(("Failed", "none yet" if share is None else _percent(share), note))
    return found


def _done(progress: Progress) -> Figure:
    of = "" if progress.budget is None else f" of {progress.budget:,}"
    note = "" if progress.share is None else f"{progress.share:.0%} of the budget"
    return "Trials done", f"{progress.done:,}{of}", note


def _rate(progress: Progress) -> Figure:
    rate = progress.rate if progress.recent is None else progress.recent
    value = "unknown" if rate is None else f"{rate:,.{int(rate < 10)}f} an hour"
    over = "" if progress.rate is None else f"{progress.rate:,.0f} an hour over all"
    return "Rate", value, over if progress.recent is not None else "while drivers worked"


def _left(progress: Progress, now: float) -> Figure:
    if progress.seconds_left is None:
        return "Time left", "unknown", "no trial has ended yet"
    by = "the deadline" if progress.ends_by == "deadline" else "at this rate"
    ends = time.strftime("%H:%M", time.gmtime(now + progress.seconds_left))
    return "Time left", duration(progress.seconds_left), f"until {ends} UTC, {by}"


def _took(progress: Progress) -> Figure:
    value = "unknown" if progress.elapsed is None else duration(progress.elapsed)
    return "Took", value, "while drivers worked"


def _said(beat: Heartbeat) -> str:
    return "" if beat.phase in (None, "searching") else "see the driver's word below"


def _percent(share: float) -> str:
    return "0%" if share == 0 else f"{share:.1%}" if share < 0.1 else f"{share:.0%}"

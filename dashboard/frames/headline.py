"""Headline: the row of figures at the top of the Overview, in words."""

from __future__ import annotations

import time

from dashboard.frames.progress import Progress
from dashboard.frames.units import seconds_text
from dashboard.heartbeat import duration
from results import Heartbeat

Figure = tuple[str, str, str]  # what it is, its value, and a note
LONGEST = 15  # characters of a value that fit into its card
DAY = 24 * 3600.0
LAST = 253402300799.0  # the last second that has a year of four digits
NONE_ENDED = "no trial has ended yet"


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
    value = "none yet" if share is None else _share(progress.broken, share)
    found.append(("Failed", value, f"besides, {progress.refused:,} infeasible"))
    return found


def _done(progress: Progress) -> Figure:
    done, share = f"{progress.done:,}", progress.share
    if progress.budget is None or share is None:
        return "Trials done", done, ""
    of = f" of {progress.budget:,}"
    if len(done + of) > LONGEST:
        return "Trials done", done, f"{of.strip()}, {share:.0%}"
    return "Trials done", done + of, f"{share:.0%} of the budget"


def _rate(progress: Progress) -> Figure:
    rate = progress.rate if progress.recent is None else progress.recent
    if rate is None:
        return "Rate", "unknown", NONE_ENDED
    value = f"{rate:,.{int(rate < 10)}f} an hour"
    over = "" if progress.rate is None else f"{progress.rate:,.0f} an hour over all"
    return "Rate", value, over if progress.recent is not None else "while drivers worked"


def _left(progress: Progress, now: float) -> Figure:
    if progress.seconds_left is None:
        return "Time left", "unknown", NONE_ENDED
    by = "the deadline" if progress.ends_by == "deadline" else "at this rate"
    is_today = progress.seconds_left < DAY
    at = time.gmtime(min(now + progress.seconds_left, LAST))
    ends = time.strftime("until %H:%M UTC" if is_today else "%d %b %Y", at)
    return "Time left", duration(progress.seconds_left), f"{ends}, {by}"


def _took(progress: Progress) -> Figure:
    value = "unknown" if progress.elapsed is None else seconds_text(progress.elapsed)
    return "Took", value, "while drivers worked"


def _said(beat: Heartbeat) -> str:
    return "" if beat.phase in (None, "searching") else "see the driver's word below"


def _share(count: int, share: float) -> str:
    """`12 (1.2%)`."""
    return f"{count:,} ({share:.{int(share < 0.1)}%})" if count else "0"

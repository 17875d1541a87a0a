"""Progress of a search: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from controller import Session
from controller.steady_clock import steady_time
from results import TrialRow, hypervolume_over_time, parse_objectives
from results.outcomes import GIVEN_BACK, in_words


@contextmanager
def watching(session: Session) -> Iterator[None]:
    """Show progress while the block runs."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with Live(
            get_renderable=lambda: _panel(session),
            console=console,
            refresh_per_second=2,
            transient=True,
        ):
            yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_print_lines, args=(session, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def summary_lines(session: Session) -> list[str]:
    """Done, running, best so far, hypervolume, time: what people ask of a running search."""
    search, rows = session.search, list(session.search.rows)
    done, budget = session.done_trials, session.config.search.trials
    counted = ", ".join(f"{n} {state}" for state, n in sorted(search.states().items()))
    lines = [
        f"{done} of {budget} trials"
        + (f" ({counted})" if counted else "")
        + f", {_clock(session.before_s + steady_time() - session.started_at)} spent"
        + _time_left(session, done, budget)
    ]
    running = sorted(search.running.values(), key=lambda item: item[1])
    lines.append(
        "running: "
        + ", ".join(
            f"trial {trial.trial} {trial.origin} {_clock(steady_time() - since)}"
            for trial, since in running
        )
        if running
        else session.phase
    )
    if session.pause.reason:
        lines.append(f"paused: {session.pause.reason}")
    if best := _best_so_far(session, rows):
        lines.append(best)
    return lines


def _best_so_far(session: Session, rows: list[TrialRow]) -> str | None:
    """The best value of each objective, and the hypervolume of the front so far."""
    objectives = parse_objectives(session.config.objectives)
    names = [o.column for o in objectives]
    records = [
        {"state": row.state, "told_at": row.told_at}
        | {name: row.metrics[name] for name in names if name in row.metrics}
        for row in rows
        if row.state == "complete"
    ]
    if not records:
        return None
    frame = pd.DataFrame(records)
    bests = [
        f"{o.column} {frame[o.column].agg(o.direction):.4g}"
        for o in objectives
        if o.column in frame
    ]
    volume = float(hypervolume_over_time(frame, objectives).iloc[-1])
    return f"best: {', '.join(bests)}; hypervolume {volume:.3f}"


def _time_left(session: Session, done: int, budget: int) -> str:
    """From this session's own rate, never past the deadline."""
    rows = list(session.search.rows)
    here = {
        row.trial
        for row in rows
        if _is_end(row)
        and in_words(row.state, row.reason) != GIVEN_BACK
        and row.finished_at > session.started_at
    }
    if not here:
        return ""
    left = (budget - done) * (steady_time() - session.started_at) / len(here)
    if session.search.deadline is not None:
        left = min(left, max(0.0, session.search.deadline - steady_time()))
    return f", about {_clock(left)} left"


def _panel(session: Session) -> Group:
    budget = session.config.search.trials
    done = session.done_trials
    bar = ProgressBar(total=budget, completed=done, width=60)
    return Group(bar, *(Text(line) for line in summary_lines(session)))


def _print_lines(session: Session, stop: threading.Event) -> None:
    """One line when a trial ends or stops, for logs; a resumed run's earlier ones are left out."""
    shown = sum(row.finished_at < session.started_at for row in list(session.search.rows))
    paused: str | None = None
    while True:
        last = stop.wait(0.5)
        if paused != session.pause.reason:
            paused = session.pause.reason
            print(f"paused: {paused}" if paused else "going on", file=sys.stderr, flush=True)
        rows = list(session.search.rows)
        for row in filter(_is_end, rows[shown:]):
            figures = ", ".join(
                f"{o} {row.metrics[o]:.4g}" for o in session.config.objectives if o in row.metrics
            )
            budget = session.config.search.trials
            said = "; ".join(part for part in (figures, row.reason) if part)
            ended = in_words(row.state, row.reason)
            print(
                f"trial {row.trial} ({session.done_trials} of {budget}) {row.origin} {ended}: "
                + said,
                file=sys.stderr,
                flush=True,
            )
        shown = len(rows)
        if last:
            return


def _is_end(row: TrialRow) -> bool:
    """Whether a trial ended with this row, or stopped at a rung."""
    return row.state != "passed"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

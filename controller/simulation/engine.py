"""The simulated engine: drives a search on a problem with known results, workers and a clock.

Hours of training pass in milliseconds: a trial's end is an event in a queue, and the clock jumps
from one event to the next (as in Syne Tune, Salinas et al. 2022).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from controller.simulation.problem import Problem
from controller.trial import Trial
from results import TrialRow
from results.schema import State


class Clock:
    """Simulated seconds since the start; called like `time.time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Searching(Protocol):
    """What the engine needs of a search: attnas' own, or another library in its place."""

    def next_trial(self) -> Trial | None:
        """What a free worker shall do; None if there is nothing now."""
        ...

    def finish(self, row: TrialRow) -> None:
        """The end of a trial."""
        ...

    @property
    def rungs(self) -> Sequence[float]:
        """Shares of the training budget at which trials report; the last is all of it."""
        ...

    def report(self, row: TrialRow) -> bool:
        """A trial at a rung below the last: whether it goes on now."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row, when it came, and how much had been trained by then."""

    row: TrialRow
    seconds: float  # simulated, since the start
    spent: float  # trainings so far, all workers together; a share of one counts as this share


@dataclass(frozen=True, slots=True, order=True)
class _End:
    """A worker reaches a rung, or the trial crashes on the way."""

    time: float
    number: int  # of the event: equal times keep their order
    started: float = field(compare=False)
    worker: int = field(compare=False)
    trial: Trial = field(compare=False)
    rung: int = field(compare=False)
    share: float = field(compare=False)  # of a whole trial, since it began or went on
    crashed: bool = field(compare=False)


class SimulatedEngine:
    """Workers that take trials from a search until it has no more."""

    def __init__(
        self,
        search: Searching,
        problem: Problem,
        clock: Clock,
        *,
        workers: int = 1,
        budget: float = math.inf,
        crashes: float = 0.0,
        seed: int = 0,
    ) -> None:
        """`budget`: trainings in all, shares of one added up, after which none starts."""
        self._search, self._problem, self._clock = search, problem, clock
        self._crashes = crashes  # share of the stretches between rungs that end in a crash
        self._rng = np.random.default_rng([seed, 3])
        self._idle = list(range(workers))
        self._queue: list[_End] = []
        self._events = 0
        self._spent = 0.0
        self._begun = 0.0
        self._budget = budget
        self._done: dict[int, float] = {}  # share of a whole trial, by trial
        self._shares = tuple(search.rungs)

    def run(self) -> list[Outcome]:
        """Every row in the order of the clock."""
        outcomes: list[Outcome] = []
        while self._start_what_can() or self._queue:
            end = heapq.heappop(self._queue)
            self._clock.now = end.time
            self._spent += end.share
            row = self._row(end)
            outcomes.append(Outcome(row, end.time, self._spent))
            if self._goes_on(row):
                self._begin(end.worker, end.trial, end.rung + 1)
            else:
                heapq.heappush(self._idle, end.worker)
        return outcomes

    def _goes_on(self, row: TrialRow) -> bool:
        """Tell the search; whether the worker keeps the trial."""
        if row.state == "pruned":
            return self._search.report(row)
        self._search.finish(row)
        return False

    def _start_what_can(self) -> bool:
        """Give trials to free workers; whether any started."""
        started = False
        while self._idle and self._begun < self._budget - 1e-9:
            trial = self._search.next_trial()
            if trial is None:
                break
            self._begin(heapq.heappop(self._idle), trial, trial.rung)
            started = True
        return started

    def _begin(self, worker: int, trial: Trial, rung: int) -> None:
        """A stretch of training from one rung to the next."""
        share = self._share(rung) - self._done.get(trial.trial, 0.0)
        self._done[trial.trial] = self._share(rung)
        self._begun += share
        takes = self._problem.seconds(trial.candidate, share)
        crashed = bool(self._crashes) and self._rng.random() < self._crashes
        if crashed:
            takes *= self._rng.random()
        self._events += 1
        now, number = self._clock.now, self._events
        end = _End(now + takes, number, now, worker, trial, rung, share, crashed)
        heapq.heappush(self._queue, end)

    def _share(self, rung: int) -> float:
        """Of a whole trial, what is done when it reaches a rung."""
        return self._shares[rung] or self._problem.measuring

    def _row(self, end: _End) -> TrialRow:
        """What a worker would have reported."""
        share = self._shares[end.rung]
        metrics: Mapping[str, float] = {}
        if not end.crashed:
            metrics = self._problem.evaluate(end.trial.candidate, share)
        state, reason = self._state(end, metrics)
        return TrialRow.from_plain(
            end.trial.row_fields()
            | {"rung": end.rung, "state": state, "reason": reason}
            | {"started_at": end.started, "finished_at": end.time}
            | {"worker": f"simulated-{end.worker}", "metrics": dict(metrics)}
        )

    def _state(self, end: _End, metrics: Mapping[str, float]) -> tuple[State, str | None]:
        if end.crashed:
            return "failed", "a simulated crash"
        if not metrics:
            return "infeasible", f"{self._problem.name} has no result for this candidate"
        if self._shares[end.rung] and self._problem.point(metrics) is None:
            return "diverged", "an objective has no value"
        if end.rung < len(self._shares) - 1:
            return "pruned", "paused at a rung"
        return "complete", None

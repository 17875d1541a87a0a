"""Search: which trial next, and what its result means. A plain state machine; knows no engine.

What goes out anew is for the schedule to say. With rungs, a trial reports on its way and may be
stopped, and taken up again later. Everything that goes out or comes back is in the run's log before
it is acted upon, decisions included, so replaying the log rebuilds this object exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from controller.candidates import Candidate, CandidateSpace
from controller.config import RunConfig, SearchConfig
from controller.halving import Halving
from controller.plan import Baseline, planned_baselines
from controller.schedule import Schedule
from controller.steady_clock import steady_time
from controller.strategies import SearchSpace
from controller.trial import Log, Trial
from controller.warm_start import WarmStart
from results import Ask, Objective, TrialRow, parse_objectives
from results.outcomes import GIVEN_BACK
from results.stored_rows import bare
from search_space import Space

LOST_RETRIES = 2  # a worker's death is not the design's fault
ERRORS_IN_A_ROW = 5  # code errors in a row stop the search


class SearchFailed(RuntimeError):
    """The search can't go on; the message is the first of the errors in a row."""


class Search:
    """The state of one run: `next_trial`, `report` at rungs, `finish`, in any order of workers."""

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        config: SearchConfig,
        log: Log,
        baselines: Sequence[Baseline] = (),
        clock: Callable[[], float] = steady_time,
        warm: WarmStart | None = None,
    ) -> None:
        self.config, self.log = config, log
        self.deadline: float | None = None  # unix seconds
        self.draining = False  # hand out nothing new; let what runs finish
        self.exhausted = False  # the space has no design left
        self.rows: list[TrialRow] = []
        self.running: dict[int, tuple[Trial, float]] = {}  # by trial, with the start, unix seconds
        self._logged: set[tuple[int, int, int]] = set()  # trial, attempt, rung
        self._again: list[Trial] = []  # interrupted or lost: to be run again
        self._errors: list[str] = []  # in a row
        self._clock = clock
        self._halving = Halving(config.rungs, objectives, config.shares)
        self._standing: dict[tuple[int, int], TrialRow] = {}  # last row by trial and attempt
        self._schedule = Schedule(space, objectives, config, baselines, warm or WarmStart())
        self._replay(log.events)

    @classmethod
    def of(
        cls,
        config: RunConfig,
        log: Log,
        candidates: CandidateSpace | None = None,
        warm: WarmStart | None = None,
    ) -> Search:
        """The search of a run; over `candidates` where more is known of them than their space."""
        candidates = candidates or CandidateSpace(Space.from_config(config.space))
        baselines = planned_baselines(candidates.space, config)
        objectives = parse_objectives(config.objectives)
        return cls(candidates, objectives, config.search, log, baselines, warm=warm)

    def next_trial(self) -> Trial | None:
        """The next trial, already in the log; None if nothing may start now."""
        if self._over():
            return None
        if self._again:
            trial = self._again[0]
        elif (stopped := self._due()) is not None:
            trial = replace(Trial.of(stopped), rung=stopped.rung + 1)
        else:
            planned = self._schedule.next(self.rows)
            if planned is None:
                self.exhausted = not self.running  # a result may still give a finalist
                return None
            candidate, origin, seed = planned
            trial = self._schedule.given_back(candidate) or Trial(
                self._schedule.handed_out,
                0,
                seed,
                candidate.design,
                origin,
                candidate.settings,
                self._schedule.first_rung(origin),
            )
        if (trial.trial, trial.attempt, trial.rung) not in self._logged:
            self._log_ask(trial)
        self._again = [waiting for waiting in self._again if waiting.trial != trial.trial]
        self.running[trial.trial] = (trial, self._clock())
        return trial

    @property
    def rungs(self) -> tuple[float, ...]:
        """Shares of the training budget at which a trial reports; the last is all of it."""
        return self._halving.shares

    def report(self, row: TrialRow) -> bool:
        """A trial reached a rung below the last: whether it goes on now, in the same worker.

        The decision is stored with the row. A trial that stops may be handed out again later.
        """
        assert row.rung < len(self.rungs) - 1, "the last rung is the end, which is for `finish`"
        against = self._halving.against(row) or self._schedule.against(row)
        state = "passed" if against is None else "pruned"
        stored = self.log.append(replace(row, state=state, reason=against))
        if stored is None:  # it was reported before, and the first decision holds
            return any(r.identity == row.identity and r.state == "passed" for r in self.rows)
        self._take_in(stored)
        return stored.state == "passed"

    def finish(self, row: TrialRow) -> None:
        """A result: stored before anything else, then told to the strategy."""
        stored = self.log.append(row)
        if stored is not None:
            self._take_in(stored)
        self._stop_after_errors()

    def collect(self) -> None:
        """Take in what workers left in the run's inbox, whether they reported it yet or not."""
        self._empty_inbox()
        self._stop_after_errors()

    def _empty_inbox(self) -> None:
        while rows := self.log.absorb_inbox():
            for row in rows:
                self._take_in(row)

    def _stop_after_errors(self) -> None:
        if len(self._errors) >= ERRORS_IN_A_ROW:
            raise SearchFailed(
                f"{ERRORS_IN_A_ROW} trials in a row ended in an error; the first was: "
                f"{self._errors[0]}"
            )

    def lost(self, trial: Trial, reason: str, worker: str) -> None:
        """A worker died with this trial; unless it left a result, it is tried again a few times."""
        self._empty_inbox()
        if trial.trial not in self.running:
            self._stop_after_errors()
            return
        trial, since = self.running[trial.trial]  # it may have passed rungs since it went out
        fields = trial.row_fields()
        self.finish(
            TrialRow.from_plain(
                fields
                | {"state": "lost", "reason": reason, "worker": worker}
                | {"started_at": since, "finished_at": self._clock(), "metrics": {}}
            )
        )

    @property
    def done(self) -> bool:
        """Whether nothing is running and nothing more would start."""
        return not self.running and self._over()

    def _over(self) -> bool:
        """Whether nothing more would start."""
        if self.draining or (self.deadline is not None and self._clock() > self.deadline):
            return True
        return self.complete

    @property
    def complete(self) -> bool:
        """Whether the budget is spent and everything that is due has been handed out."""
        spent = self._schedule.begun >= self.config.trials
        return not self._again and (spent or self.exhausted) and self._due() is None

    def _due(self) -> TrialRow | None:
        """The row at which a trial was stopped that should go on by now."""
        return self._halving.due()

    def states(self) -> Counter[str]:
        """How many trials ended how; each lost attempt counts, a trial that goes on does not."""
        return Counter(
            GIVEN_BACK if self._schedule.is_given_back(row) else row.state for row in self._ends()
        )

    def done_trials(self) -> int:
        """Trials with a result that stands; a lost one will be tried again or is not one."""
        ends = [row for row in self._ends() if row.state != "lost"]
        return len({row.trial for row in ends if not self._schedule.is_given_back(row)})

    def _ends(self) -> list[TrialRow]:
        standing = list(self._standing.values())  # other threads ask as well
        on_the_way = {*self.running, *(trial.trial for trial in self._again)}
        return [
            row
            for row in standing
            if row.state == "lost" or (row.state != "passed" and row.trial not in on_the_way)
        ]

    def _log_ask(self, trial: Trial) -> None:
        candidate = trial.candidate
        ask = self.log.ask(
            trial=trial.trial,
            attempt=trial.attempt,
            seed=trial.seed,
            key=candidate.key,
            design=trial.design.to_json(),
            origin=trial.origin,
            settings=candidate.settings_json,
            rung=trial.rung,
        )
        self._went_out(ask, candidate)

    def _went_out(self, ask: Ask, candidate: Candidate) -> None:
        """What an ask means to the state, live and in replay alike."""
        self._logged.add((ask.trial, ask.attempt, ask.rung))
        self._halving.went_out(ask)
        self._schedule.went_out(ask, candidate)

    def _take_in(self, row: TrialRow) -> None:
        """What a row means to the state, live and in replay alike."""
        row = bare(row)  # as a replay has it, and small
        self.rows.append(row)
        self._standing[row.trial, row.attempt] = row
        self._halving.take_in(row)
        self._schedule.tell(row)
        if row.state == "passed":
            self._goes_on(row)
            return
        self.running.pop(row.trial, None)
        if row.state == "failed":
            self._errors.append(row.reason or "unknown")
        elif row.state == "lost":
            if row.attempt >= LOST_RETRIES:
                self._errors.append(f"{row.reason}, {row.attempt + 1} times")
        else:
            self._errors.clear()
        if row.state == "lost" and row.attempt < LOST_RETRIES:
            self._again.append(replace(Trial.of(row), attempt=row.attempt + 1))

    def _goes_on(self, row: TrialRow) -> None:
        """The way to the next rung is part of the same ask."""
        self._logged.add((row.trial, row.attempt, row.rung + 1))
        if row.trial in self.running:
            trial, since = self.running[row.trial]
            self.running[row.trial] = (replace(trial, rung=row.rung + 1), since)

    def _replay(self, events: Sequence[Ask | TrialRow]) -> None:
        """Rebuild the state from the log; asks without a row are to be run again."""
        pending: dict[tuple[int, int], tuple[Ask, int]] = {}  # with the rung to reach, by attempt
        for event in events:
            if isinstance(event, Ask):
                self._went_out(event, Candidate.of(event))
                self._again = [t for t in self._again if t.trial != event.trial]
                pending[event.trial, event.attempt] = event, event.rung
            else:
                asked = pending.pop((event.trial, event.attempt), None)
                if asked is not None and event.state == "passed":
                    pending[event.trial, event.attempt] = asked[0], event.rung + 1
                self._take_in(event)
        out = [replace(Trial.of(ask), rung=rung) for ask, rung in pending.values()]
        self._again = [*out, *self._again]
        self._errors.clear()

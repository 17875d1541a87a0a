"""Search: which trial next, and what its result means. A plain state machine; knows no engine.

Presets go first, each under several seeds, so that the noise is known; then the strategy's
proposals with a share of random ones between them; last, designs of the front again under fresh
seeds. Everything that goes out or comes back is in the run's log before it is acted upon, so
replaying the log rebuilds this object exactly.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from controller.candidates import Candidate, CandidateSpace, Settings
from controller.config import RunConfig, SearchConfig
from controller.plan import Baseline, planned_baselines
from controller.strategies import STRATEGIES, Proposal, SearchSpace
from controller.strategies.random_search import RandomSearch
from results import Ask, Objective, TrialRow, by_design, non_dominated, parse_objectives
from search_space import Design, Space

LOST_RETRIES = 2  # a worker's death is not the design's fault
ERRORS_IN_A_ROW = 5  # code errors in a row stop the search


class SearchFailed(RuntimeError):
    """The search can't go on; the message is the first of the errors in a row."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a worker is asked to do."""

    trial: int
    attempt: int
    seed: int
    design: Design
    origin: str
    settings: Settings = ()

    @classmethod
    def of(cls, stored: Ask | TrialRow, attempt: int | None = None) -> Trial:
        """The trial of an ask or of a row, or another attempt at it."""
        attempt = stored.attempt if attempt is None else attempt
        candidate = Candidate.of(stored)
        return cls(
            stored.trial,
            attempt,
            stored.seed,
            candidate.design,
            stored.origin,
            candidate.settings,
        )

    @property
    def candidate(self) -> Candidate:
        """What the strategy proposed."""
        return Candidate(self.design, self.settings)

    def row_fields(self) -> dict[str, object]:
        """The fields that a result of this trial shares with it."""
        return {
            "trial": self.trial,
            "attempt": self.attempt,
            "seed": self.seed,
            "origin": self.origin,
            "key": self.candidate.key,
            "design": self.design.to_json(),
            "settings": self.candidate.settings_json,
        }


class Log(Protocol):
    """Where events are kept before they are acted upon: a run's writer, or memory."""

    @property
    def events(self) -> Sequence[Ask | TrialRow]:
        """Every ask and row in the order they happened."""
        ...

    def ask(
        self,
        *,
        trial: int,
        attempt: int,
        seed: int,
        key: str,
        design: str,
        origin: str,
        settings: str | None = None,
    ) -> Ask:
        """Note that a trial goes out."""
        ...

    def append(self, row: TrialRow) -> TrialRow | None:
        """Keep a row; None for one that is there already."""
        ...

    def absorb_inbox(self) -> list[TrialRow]:
        """Keep what workers left behind, and say what it was."""
        ...


class Search:
    """The state of one run. `next_trial`, then `finish`, in any order of workers."""

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        config: SearchConfig,
        log: Log,
        baselines: Sequence[Baseline] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config, self.log = config, log
        self.deadline: float | None = None  # unix seconds
        self.draining = False  # hand out nothing new; let what runs finish
        self.exhausted = False  # the space has no design left
        self.rows: list[TrialRow] = []
        self.running: dict[int, tuple[Trial, float]] = {}  # by trial, with the start, unix seconds
        self._handed_out = 0
        self._proposed = 0
        self._finalists = 0
        self._seeds: Counter[str] = Counter()  # trainings handed out, by key
        self._more_seeds: list[tuple[Candidate, str, int]] = []  # of proposals already handed out
        self._logged: set[tuple[int, int]] = set()
        self._again: list[Trial] = []  # interrupted or lost: to be run again
        self._errors: list[str] = []  # in a row
        self._baselines, self._objectives, self._clock = baselines, objectives, clock
        self._random = RandomSearch(space, objectives, config.seed)
        self._strategy = STRATEGIES[config.strategy](space, objectives, config.seed)
        self._replay(log.events)

    @classmethod
    def of(
        cls,
        config: RunConfig,
        log: Log,
        known: Callable[[Design], Mapping[str, float]] | None = None,
    ) -> Search:
        """The search of a run; `known` gives the metrics that need no training."""
        space, objectives = Space.from_config(config.space), parse_objectives(config.objectives)
        baselines = planned_baselines(space, config)
        return cls(CandidateSpace(space, known), objectives, config.search, log, baselines)

    def next_trial(self) -> Trial | None:
        """The next trial, already in the log; None if nothing may start now."""
        if self._over():
            return None
        if self._again:
            trial = self._again.pop(0)
        else:
            proposal = self._proposal()
            if proposal is None:
                self.exhausted = not self.running  # a result may still give a finalist
                return None
            candidate, origin, seed = proposal
            trial = Trial(self._handed_out, 0, seed, candidate.design, origin, candidate.settings)
        if (trial.trial, trial.attempt) not in self._logged:
            self._log_ask(trial)
        self.running[trial.trial] = (trial, self._clock())
        return trial

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
        for row in self.log.absorb_inbox():
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
        _, since = self.running[trial.trial]
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
        spent = self._handed_out >= self.config.trials
        return not self._again and (spent or self.exhausted)

    def states(self) -> Counter[str]:
        """How many trials ended how."""
        return Counter(row.state for row in self.rows)

    def _proposal(self) -> Baseline | None:
        """The next candidate, where it comes from, and its seed."""
        search = self.config
        if self._handed_out < len(self._baselines):
            return self._baselines[self._handed_out]
        if self._handed_out < search.trials - search.finalists:
            if self._more_seeds:
                return self._more_seeds[0]
            turn_random = int((self._proposed + 1) * search.random_share) > int(
                self._proposed * search.random_share
            )
            proposal = self._random.ask() if turn_random else self._strategy.ask()
            if proposal is not None:
                origin = "random" if turn_random else _origin(search.strategy, proposal)
                return proposal.candidate, origin, search.seed
        return self._finalist() if self._finalists < search.finalists else None

    def _finalist(self) -> Baseline | None:
        """A candidate of the front under its next seed: the one with the fewest seeds so far.

        One seed may have been lucky, and presets alone don't show how much seeds matter to what
        the search prefers.
        """
        if not self.rows:
            return None
        names = ("key", "seed", "state", "trial", "origin")
        frame = pd.DataFrame(
            {**{name: getattr(row, name) for name in names}, **row.metrics} for row in self.rows
        )
        designs = by_design(frame, self._objectives)
        front = designs.loc[non_dominated(designs, self._objectives), "key"]
        if front.empty:
            return None
        key = min(front, key=lambda key: self._seeds[key])
        candidate = next(Candidate.of(row) for row in self.rows if row.key == key)
        return candidate, "finalist", self.config.seed + self._seeds[key]

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
        )
        self._went_out(ask, candidate)

    def _went_out(self, ask: Ask, candidate: Candidate) -> None:
        """What an ask means to the state, live and in replay alike."""
        self._logged.add((ask.trial, ask.attempt))
        if ask.attempt == 0:
            self._handed_out += 1
            self._seeds[ask.key] += 1
            self._finalists += ask.origin == "finalist"
            if ask.origin == "random" or ask.origin.startswith("strategy:"):
                self._proposal_went_out(ask, candidate)
            self._random.handed_out(candidate)
            self._strategy.handed_out(candidate, _part(ask.origin))

    def _proposal_went_out(self, ask: Ask, candidate: Candidate) -> None:
        """A new proposal asks for its other seeds; one of these is no new proposal."""
        first = self.config.seed
        if ask.seed == first:
            self._proposed += 1
            seeds = range(first + 1, first + self.config.seeds)
            self._more_seeds += [(candidate, ask.origin, seed) for seed in seeds]
        else:
            self._more_seeds.pop(0)

    def _take_in(self, row: TrialRow) -> None:
        """What a row means to the state, live and in replay alike."""
        self.running.pop(row.trial, None)
        self.rows.append(row)
        self._strategy.tell(row)
        if row.state == "failed":
            self._errors.append(row.reason or "unknown")
        elif row.state == "lost":
            if row.attempt >= LOST_RETRIES:
                self._errors.append(f"{row.reason}, {row.attempt + 1} times")
        else:
            self._errors.clear()
        if row.state == "lost" and row.attempt < LOST_RETRIES:
            self._again.append(Trial.of(row, attempt=row.attempt + 1))

    def _replay(self, events: Sequence[Ask | TrialRow]) -> None:
        """Rebuild the state from the log; asks without a row are to be run again."""
        pending: dict[tuple[int, int], Trial] = {}
        for event in events:
            if isinstance(event, Ask):
                trial = Trial.of(event)
                self._went_out(event, trial.candidate)
                self._again = [t for t in self._again if t.trial != event.trial]
                pending[event.trial, event.attempt] = trial
            else:
                pending.pop((event.trial, event.attempt), None)
                self._take_in(event)
        self._again = [*pending.values(), *self._again]
        self._errors.clear()


def _origin(strategy: str, proposal: Proposal) -> str:
    """`strategy:NAME`, or `strategy:NAME/PART`."""
    return f"strategy:{strategy}" + (f"/{proposal.part}" if proposal.part else "")


def _part(origin: str) -> str:
    """The part of the strategy that an origin names, if it does."""
    return origin.partition("/")[2] if origin.startswith("strategy:") else ""

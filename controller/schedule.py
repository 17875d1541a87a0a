"""Schedule: which candidates go out anew, in which order, and where each comes from.

Presets go first, each under several seeds, so that the noise is known; then the strategy's
proposals with a share of random ones between them, designs of earlier runs before all others;
last, designs of the front again under fresh seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from controller.candidates import Candidate
from controller.config import SearchConfig
from controller.plan import Baseline
from controller.strategies import STRATEGIES, JudgesCosts, Proposal, SearchSpace
from controller.strategies.interface import BY_MODEL
from controller.strategies.random_search import RandomSearch
from controller.trial import Trial
from controller.warm_start import WarmStart
from results import Ask, Objective, TrialRow, by_design, non_dominated
from results.origins import RANDOM, STRATEGY, WARM

PROPOSED = (RANDOM, STRATEGY, WARM)  # what origins of proposals begin with


class Schedule:
    """Follows from what went out and what was told, in that order."""

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        config: SearchConfig,
        baselines: Sequence[Baseline],
        warm: WarmStart,
    ) -> None:
        self._config, self._objectives, self._baselines = config, objectives, baselines
        self.handed_out = 0  # trials so far
        self._given_back: dict[str, TrialRow] = {}  # measured, and not trained so far; by key
        self._drawn = 0  # proposals of the random share
        self._proposed = 0
        self._finalists = 0
        self._seeds: Counter[str] = Counter()  # trainings handed out, by key
        self._more_seeds: list[Baseline] = []  # of proposals already handed out
        self._random = RandomSearch(space, objectives, config.seed)
        self._strategy = STRATEGIES[config.strategy](space, objectives, config.seed)
        self._first = self._begin_from(warm)

    def next(self, rows: Sequence[TrialRow]) -> Baseline | None:
        """The next candidate, where it comes from, and its seed; `rows` are all results so far."""
        search = self._config
        if self.handed_out < len(self._baselines):
            return self._baselines[self.handed_out]
        if self.begun - self._finalists < search.trials - search.finalists:
            if self._more_seeds:
                return self._more_seeds[0]
            proposed = self._proposed - len(self._given_back)
            turn_random = int((proposed + 1) * search.random_share) > self._drawn
            if self._first and not turn_random:
                candidate, origin = self._first[0]
                return candidate, origin, search.seed
            proposal = self._random.ask() if turn_random else self._strategy.ask()
            if proposal is None and turn_random and self._given_back:  # nothing else is left
                turn_random, proposal = False, self._strategy.ask()
            if proposal is not None:
                origin = "random" if turn_random else _origin(search.strategy, proposal)
                return proposal.candidate, origin, search.seed
        return self._finalist(rows) if self._finalists < search.finalists else None

    def _finalist(self, rows: Sequence[TrialRow]) -> Baseline | None:
        """A candidate of the front under its next seed: the one with the fewest seeds so far.

        One seed may have been lucky, and presets alone don't show how much seeds matter to what
        the search prefers.
        """
        if not rows:
            return None
        names = ("key", "seed", "state", "trial", "origin")
        frame = pd.DataFrame(
            {**{name: getattr(row, name) for name in names}, **row.metrics} for row in rows
        )
        designs = by_design(frame, self._objectives)
        front = designs.loc[non_dominated(designs, self._objectives), "key"]
        if front.empty:
            return None
        key = min(front, key=lambda key: self._seeds[key])
        candidate = next(Candidate.of(row) for row in rows if row.key == key)
        return candidate, "finalist", self._config.seed + self._seeds[key]

    @property
    def begun(self) -> int:
        """Trials that count towards the budget: all but those that were given back untrained."""
        return self.handed_out - len(self._given_back)

    def first_rung(self, origin: str) -> int:
        """Where a new trial reports first; after measuring only if it may be given back there."""
        return int(self._config.measure_first and _part(origin) != BY_MODEL)

    def is_given_back(self, row: TrialRow) -> bool:
        """Whether its trial was measured and waits, perhaps for ever, to be trained."""
        return row.state == "pruned" and row.key in self._given_back

    def given_back(self, candidate: Candidate) -> Trial | None:
        """The trial of a candidate that was measured and given back, to be trained after all."""
        row = self._given_back.get(candidate.key)
        return None if row is None else replace(Trial.of(row), rung=1)

    def against(self, row: TrialRow) -> str | None:
        """Why a trial that was just measured should not be trained now; None if it should."""
        if not self._is_measuring(row) or not isinstance(self._strategy, JudgesCosts):
            return None
        return self._strategy.against(row)

    def _is_measuring(self, row: TrialRow) -> bool:
        """Whether a row is of the rung before training."""
        return self._config.measure_first and row.rung == 0 and row.state in ("pruned", "passed")

    def went_out(self, ask: Ask, candidate: Candidate) -> None:
        """A trial of this candidate begins, again or goes on, live and in replay alike."""
        if ask.trial < self.handed_out:
            if self._given_back.pop(ask.key, None) is not None:
                self._strategy.handed_out(candidate, _part(ask.origin))
            return
        self.handed_out = ask.trial + 1  # numbers have gaps where a damaged log lost asks
        self._seeds[ask.key] += 1
        self._finalists += ask.origin == "finalist"
        if ask.origin.startswith(PROPOSED):
            self._proposal_went_out(ask, candidate)
        self._random.handed_out(candidate)
        self._strategy.handed_out(candidate, _part(ask.origin))

    def tell(self, row: TrialRow) -> None:
        """A result, at a rung or at the end."""
        self.handed_out = max(self.handed_out, row.trial + 1)  # its ask may be lost to damage
        if self._is_measuring(row) and row.state == "pruned":
            self._given_back[row.key] = row
        self._strategy.tell(row)

    def _proposal_went_out(self, ask: Ask, candidate: Candidate) -> None:
        """A new proposal asks for its other seeds; one of these is no new proposal."""
        first = self._config.seed
        if ask.seed == first:
            self._proposed += 1
            self._drawn += ask.origin == RANDOM
            self._first = [one for one in self._first if one[0].key != ask.key]
            seeds = range(first + 1, first + self._config.seeds)
            self._more_seeds += [(candidate, ask.origin, seed) for seed in seeds]
        else:  # what asked for it may be lost to damage
            due = [(one.key, seed) for one, _, seed in self._more_seeds]
            if (ask.key, ask.seed) in due:
                self._more_seeds.pop(due.index((ask.key, ask.seed)))

    def _begin_from(self, warm: WarmStart) -> list[tuple[Candidate, str]]:
        """Tell what earlier runs found, as if it were of this one; what is to be proposed first.

        Rows told so are no trials of the run: they neither count nor make finalists.
        """
        for row in warm.rows:
            candidate = Candidate.of(row)
            self._random.handed_out(candidate)
            self._strategy.handed_out(candidate)
            self._strategy.tell(row)
        return list(warm.first)


def _origin(strategy: str, proposal: Proposal) -> str:
    """`strategy:NAME`, or `strategy:NAME/PART`."""
    return f"strategy:{strategy}" + (f"/{proposal.part}" if proposal.part else "")


def _part(origin: str) -> str:
    """The part of the strategy that an origin names, if it does."""
    return origin.partition("/")[2] if origin.startswith("strategy:") else ""

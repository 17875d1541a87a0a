"""Ray Tune's search algorithms as strategies: any `ray.tune.search.Searcher`, given how to make it.

A searcher that takes several metrics lives as long as the search. A copy of it suggests, and once
the suggestion goes out the searcher itself makes the same one, so it knows what is pending. It
learns nothing of what others proposed: Tune has no way to tell it.

A searcher that takes one metric is made anew at every ask, and told every result so far through
`add_evaluated_point`, under weights of the objectives drawn for that ask.

In the other direction, `attnas_searcher` takes our strategies into a user's own `Tuner`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from ray import tune
from ray.tune.search import Searcher

from controller.candidates import Candidate
from controller.strategies.codes import Codes
from controller.strategies.interface import Proposal, SearchSpace
from controller.strategies.random_search import new_near
from controller.strategies.scalarising import chebyshev, random_weights
from controller.strategies.scores import Scores
from results import Objective, TrialRow

SEARCHER = "searcher"  # the part of a proposal that the searcher waits for
TRIES = 4  # suggestions before one that is known is moved from
LOSS = "loss"  # the one metric


class MakeSearcher(Protocol):
    """A searcher over domains by name; `metric` and `mode` are two texts or two lists of them."""

    def __call__(self, domains: dict[str, Any], metric: Any, mode: Any, seed: int) -> Searcher: ...


class TuneSearch:
    """A searcher that takes several metrics."""

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        seed: int,
        make_searcher: MakeSearcher,
    ) -> None:
        self._space, self._seed = space, seed
        self._columns = [o.column for o in objectives]
        self._codes = Codes(space)
        modes = [o.direction for o in objectives]
        self._searcher = make_searcher(domains(self._codes), self._columns, modes, seed)
        self._seen: set[str] = set()
        self._events = 0
        self._pending: dict[str, str] = {}  # names of Tune's trials, by key
        self._results: dict[str, dict[str, float]] = {}  # the first of each key

    def ask(self) -> Proposal | None:
        name, near = self._suggestion(copy.deepcopy(self._searcher))
        if name is not None and near is not None:
            return Proposal(near, SEARCHER)
        rng = np.random.default_rng([self._seed, self._events, 11])
        found = new_near(self._space, near, rng, self._seen)
        return None if found is None else Proposal(found)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        if part == SEARCHER and candidate.key not in self._seen:
            name, suggested = self._suggestion(self._searcher)
            if name is not None and suggested is not None:
                if suggested.key == candidate.key:
                    self._pending[candidate.key] = name
                else:  # the log of another version
                    self._searcher.on_trial_complete(name, error=True)
        self._seen.add(candidate.key)
        self._events += 1

    def tell(self, row: TrialRow) -> None:
        self._events += 1
        if row.state == "passed":  # a rung; the trial goes on
            return
        # one metric less, and Tune's Optuna would keep the trial pending for ever
        if row.state == "complete" and all(name in row.metrics for name in self._columns):
            self._results.setdefault(row.key, {n: row.metrics[n] for n in self._columns})
        name = self._pending.pop(row.key, None)
        if name is not None:
            self._complete(self._searcher, name, row.key)

    def _complete(self, searcher: Searcher, name: str, key: str) -> None:
        """Tell the result of a key, or that there is none."""
        if key in self._results:
            searcher.on_trial_complete(name, dict(self._results[key]))
        else:
            searcher.on_trial_complete(name, error=True)

    def _suggestion(self, searcher: Searcher) -> tuple[str | None, Candidate | None]:
        """A new candidate and the name under which the searcher waits for it.

        Where all are known there is no name, and the candidate is the last. What is known is told
        at once.
        """
        last = None
        for number in range(TRIES if self._codes.counts else 0):
            name = f"{self._events}-{number}"
            found = suggested_by(searcher, name, self._codes)
            if found is not None and found.key not in self._seen:
                return name, found
            if found is not None:
                self._complete(searcher, name, found.key)
                last = found
        return None, last


class TuneScalarised:
    """A searcher that takes one metric and has `add_evaluated_point`."""

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        seed: int,
        make_searcher: MakeSearcher,
    ) -> None:
        self._space, self._objectives, self._seed = space, objectives, seed
        self._make_searcher = make_searcher
        self._codes = Codes(space)
        self._scores = Scores(objectives)
        self._described: dict[str, dict[str, int]] = {}  # codes of those with a result
        self._seen: set[str] = set()
        self._events = 0

    def ask(self) -> Proposal | None:
        rng = np.random.default_rng([self._seed, self._events, 12])
        last = None
        if self._codes.counts:
            searcher = self._told_searcher(rng)
            for number in range(TRIES):
                last = suggested_by(searcher, str(number), self._codes) or last
                if last is not None and last.key not in self._seen:
                    return Proposal(last)
        found = new_near(self._space, last, rng, self._seen)
        return None if found is None else Proposal(found)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        self._seen.add(candidate.key)
        self._events += 1

    def tell(self, row: TrialRow) -> None:
        self._events += 1
        if self._scores.take(row) and row.key not in self._described:
            codes = self._codes.of(Candidate.of(row))
            if codes is not None:
                self._described[row.key] = codes

    def _told_searcher(self, rng: np.random.Generator) -> Searcher:
        """A new searcher that knows every result that choices can describe."""
        weights = random_weights(len(self._objectives), rng)
        seed = int(rng.integers(2**31))
        searcher = self._make_searcher(domains(self._codes), LOSS, "min", seed)
        losses = chebyshev(self._scores.points(list(self._described)), weights)
        for codes, loss in zip(self._described.values(), losses, strict=True):
            searcher.add_evaluated_point(dict(codes), float(loss))
        return searcher


def domains(codes: Codes) -> dict[str, Any]:
    """The choices as Tune's domains: numbers as whole numbers with an order, texts as choices."""
    return {
        name: tune.randint(0, count) if codes.ordered[name] else tune.choice(list(range(count)))
        for name, count in codes.counts.items()
    }


def suggested_by(searcher: Searcher, name: str, codes: Codes) -> Candidate | None:
    """The candidate that a searcher suggests for a trial of this name; None for no such."""
    suggestion = searcher.suggest(name)
    return codes.candidate(suggestion) if isinstance(suggestion, dict) else None


def optuna_searcher(domains: dict[str, Any], metric: Any, mode: Any, seed: int) -> Searcher:
    """Tune's own default for Optuna: tree-structured Parzen estimators, each choice by itself."""
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # else a line for every searcher
    space = OptunaSearch.convert_search_space(domains)
    return OptunaSearch(space, metric=metric, mode=mode, seed=seed)


def tune_optuna(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> TuneSearch:
    """`tune-optuna`: Optuna behind Ray Tune, with all objectives at once."""
    return TuneSearch(space, objectives, seed, optuna_searcher)

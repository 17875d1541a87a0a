"""NNI: its TPE and its naive evolution as strategies, over the choices of a space.

TPE: Bergstra et al. 2011, each choice by itself. Evolution: Real et al. 2017, arXiv:1703.01041,
the worse of two drawn at random giving way to a mutant of the better.

NNI (Microsoft, 3.0) takes one objective, so every ask weighs the objectives anew, and all results
are told again under these weights.
"""

from __future__ import annotations

import copy
import logging
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from nni.algorithms.hpo.evolution_tuner import EvolutionTuner, Individual
from nni.algorithms.hpo.tpe_tuner import Record, TpeArguments, suggest
from nni.common.hpo_utils import deformat_parameters, format_search_space

from controller.candidates import Candidate
from controller.strategies.codes import Codes
from controller.strategies.interface import Proposal, SearchSpace
from controller.strategies.random_search import new_near
from controller.strategies.scalarising import chebyshev, random_weights
from controller.strategies.scores import Scores
from results import Objective, TrialRow

logging.getLogger("nni").setLevel(logging.WARNING)  # else a line for every trial's end

TRIES = 4  # suggestions of TPE before one that is known is moved from
POPULATION = 32  # NNI's own
TUNER = "tuner"  # the part of a proposal that NNI's population waits for

Config = dict[str, Any]


class NniTpe:
    """Trials by key, as codes; NNI's function is given them anew at every ask."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._seed, self._objectives = space, seed, objectives
        self._codes = Codes(space)
        self._nni_space: Any = format_search_space(tuner_space(self._codes))
        self._scores = Scores(objectives)
        self._seen: dict[str, dict[str, int] | None] = {}  # codes of what went out
        self._ended: set[str] = set()
        self._events = 0

    def ask(self) -> Proposal | None:
        rng = np.random.default_rng([self._seed, self._events, 7])
        last = None
        if self._nni_space:
            history = self._history(random_weights(len(self._objectives), rng))
            for _ in range(TRIES):
                drawn = suggest(TpeArguments(), rng, self._nni_space, history)
                last = self._codes.candidate(deformat_parameters(drawn, self._nni_space)) or last
                if last is not None and last.key not in self._seen:
                    return Proposal(last)
        found = new_near(self._space, last, rng, self._seen)
        return None if found is None else Proposal(found)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        if candidate.key not in self._seen:
            self._seen[candidate.key] = self._codes.of(candidate)
        self._events += 1

    def tell(self, row: TrialRow) -> None:
        self._events += 1
        if row.state == "passed":  # a rung; the trial goes on
            return
        self._scores.take(row)
        self._ended.add(row.key)

    def _history(self, weights: Any) -> Any:
        """Codes and losses of every choice; the best loss for what is pending, NNI's default."""
        losses = [float(x) for x in chebyshev(self._scores.points(), weights)]
        told = dict(zip(self._scores.candidates, losses, strict=True))
        lie = min(losses, default=0.0)
        pending = {key: lie for key in self._seen if key not in self._ended}
        history: Any = defaultdict(list)
        for key, loss in (told | pending).items():
            for name, code in (self._seen.get(key) or {}).items():
                history[(name,)].append(Record(code, loss))
        return history


class NniEvolution:
    """NNI's population, whose results are weighed anew at every step.

    NNI's founders and mutants are drawn without a seed, so founders are drawn here, and its random
    numbers are set before every step. What others proposed takes the place of a founder that was
    not tried yet; once all were tried, the population is NNI's own.
    """

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._space, self._seed, self._objectives = space, seed, objectives
        self._codes = Codes(space)
        self._scores = Scores(objectives)
        self._seen: set[str] = set()
        self._events = 0
        self._pending: dict[str, int] = {}  # NNI's number of a trial, by key
        self._tuner: Any = EvolutionTuner("minimize", POPULATION)
        self._tuner.update_search_space(tuner_space(self._codes))
        rng = np.random.default_rng([seed, 8])
        self._tuner.random_state = np.random.RandomState(int(rng.integers(2**31)))
        drawn = (self._codes.of(space.sample(rng)) for _ in range(POPULATION))
        self._tuner.population = [Individual(config_of(codes)) for codes in drawn if codes]

    def ask(self) -> Proposal | None:
        found = self._step(copy.deepcopy(self._tuner))
        if found is not None:
            return Proposal(found, TUNER)
        rng = np.random.default_rng([self._seed, self._events, 9])
        left = new_near(self._space, None, rng, self._seen)
        return None if left is None else Proposal(left)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        if part == TUNER and candidate.key not in self._seen:
            found = self._step(self._tuner)
            if found is not None and found.key == candidate.key:
                self._pending[candidate.key] = self._events
            elif found is not None:
                self._tuner.trial_end(self._events, False)
        self._seen.add(candidate.key)
        self._events += 1

    def tell(self, row: TrialRow) -> None:
        self._events += 1
        if row.state == "passed":  # a rung; the trial goes on
            return
        new = row.key not in self._scores.candidates
        complete = self._scores.take(row)
        number = self._pending.pop(row.key, None)
        if number is None:
            if complete and new:
                self._take_in(row)
        elif complete:
            self._tuner.receive_trial_result(number, None, 0.0)  # weighed at the next step
            self._tuner.population[-1].info = row.key
        else:
            self._tuner.trial_end(number, False)

    def _step(self, tuner: Any) -> Candidate | None:
        """The tuner's next candidate, which it then waits for; None where it has none."""
        if not tuner.population or not self._codes.counts:
            return None
        rng = np.random.default_rng([self._seed, self._events, 10])
        self._weigh(tuner, rng)
        tuner.random_state = np.random.RandomState(int(rng.integers(2**31)))
        with seeded(int(rng.integers(2**31))):
            near = self._codes.candidate(tuner.generate_parameters(self._events))
        new = near is not None and near.key not in self._seen
        found = near if new else new_near(self._space, near, rng, self._seen)
        codes = None if found is None else self._codes.of(found)
        if codes is None:
            tuner.trial_end(self._events, False)
            return None
        tuner.running_trials[self._events].config = config_of(codes)
        return found

    def _weigh(self, tuner: Any, rng: np.random.Generator) -> None:
        """Every result under new weights, larger is better as the tuner has it inside."""
        losses = chebyshev(self._scores.points(), random_weights(len(self._objectives), rng))
        by_key = dict(zip(self._scores.candidates, losses, strict=True))
        for individual in tuner.population:
            if individual.result is not None:
                individual.result = -float(by_key[individual.info])

    def _take_in(self, row: TrialRow) -> None:
        population = self._tuner.population
        untried = [i for i, one in enumerate(population) if one.result is None]
        codes = self._codes.of(Candidate.of(row)) if untried else None
        if codes is not None:
            population[untried[-1]] = Individual(config_of(codes), row.key, 0.0)


def tuner_space(codes: Codes) -> Any:
    """The choices as NNI's tuners take them, each value by its code."""
    return {n: {"_type": "choice", "_value": list(range(c))} for n, c in codes.counts.items()}


def config_of(codes: dict[str, int]) -> Config:
    """Codes as NNI's evolution keeps them."""
    return {name: {"_index": code, "_value": code} for name, code in codes.items()}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's own random numbers from a seed, and afterwards as they were before."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)

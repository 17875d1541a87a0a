"""Optuna: its multi-objective samplers as strategies, over the choices of a space.

TPE: Ozaki et al. 2022, doi:10.1613/jair.1.13188, over all choices jointly. NSGA-II: Deb et al.
2002, doi:10.1109/4235.996017, with crossing and mutation of single choices. Gaussian process: with
expected hypervolume improvement; of many results it models the best and the newest.

One study in memory holds every trial of the run that choices can describe, from whomever it came.
A trial without a result is told as failed, and no number stands in for one. What is proposed is
drawn from a copy of the study by a new sampler, so that asking leaves no trace.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from controller.candidates import Candidate
from controller.strategies.codes import Codes
from controller.strategies.interface import Proposal, SearchSpace
from controller.strategies.nsga2 import best_first
from controller.strategies.random_search import new_near
from controller.strategies.scores import signed_scores
from results import Objective, TrialRow

TRIES = 4  # suggestions before one that is known is moved from
MODELLED = 40  # results for the Gaussian process; benchmarks/ask_cost.py: most of a second an ask

MakeSampler = Callable[[int], BaseSampler]  # of a seed
Distributions = dict[str, BaseDistribution]


def whole_numbers(codes: Codes) -> Distributions:
    """Numbers as whole numbers with an order, texts as categories."""
    return {
        name: IntDistribution(0, count - 1)
        if codes.ordered[name]
        else CategoricalDistribution(tuple(range(count)))
        for name, count in codes.counts.items()
    }


def real_numbers(codes: Codes) -> Distributions:
    """Numbers as reals to be rounded: gradients then move all of them at once, five times faster.

    So too of two values, which are as far from each other in any coding.
    """
    return {
        name: FloatDistribution(-0.5, count - 0.5)
        if codes.ordered[name] or count == 2
        else CategoricalDistribution(tuple(range(count)))
        for name, count in codes.counts.items()
    }


def new_study(objectives: int) -> optuna.Study:
    """An empty study in memory; scores are negated where more is better."""
    directions = [StudyDirection.MINIMIZE] * objectives
    return optuna.create_study(directions=directions, sampler=RandomSampler(0))


def whole_copy(study: optuna.Study) -> optuna.Study:
    """A study that can go its own way; trials are shared, since Optuna replaces changed ones."""
    shared = {id(trial): trial for trial in study.get_trials(deepcopy=False)}
    return copy.deepcopy(study, shared)


def copy_of_some(study: optuna.Study) -> optuna.Study:
    """A copy with what is pending and, of the results, the best half and the newest half."""
    trials = study.get_trials(deepcopy=False)
    results = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(results) <= MODELLED:
        return whole_copy(study)
    best = best_first(np.array([trial.values for trial in results]))[: MODELLED // 2]
    newest = sorted(set(range(len(results))) - set(best))[-(MODELLED - len(best)) :]
    pending = [trial for trial in trials if trial.state == TrialState.RUNNING]
    some = new_study(len(study.directions))
    some.add_trials([*(results[i] for i in sorted([*best, *newest])), *pending])
    return some


@dataclass(frozen=True, slots=True)
class Method:
    """A sampler of Optuna, and how it is given the space and the study."""

    make_sampler: MakeSampler
    mark: Callable[[optuna.Study, FrozenTrial], None] | None = None  # as a trial goes out
    distributions: Callable[[Codes], Distributions] = whole_numbers
    copied: Callable[[optuna.Study], optuna.Study] = whole_copy
    tries: int = TRIES


class OptunaStrategy:
    """A study that knows what went out and what came back."""

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], seed: int, method: Method
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # else a line for every trial
        self._space, self._objectives, self._seed = space, objectives, seed
        self._method, self._codes = method, Codes(space)
        self._distributions = method.distributions(self._codes)
        self._study = new_study(len(objectives))
        self._events = 0
        self._seen: set[str] = set()
        self._pending: dict[str, list[int]] = {}  # numbers of Optuna's trials, by key

    def ask(self) -> Proposal | None:
        rng = np.random.default_rng([self._seed, self._events, 6])
        last = None
        if self._distributions:
            study = self._method.copied(self._study)
            study.sampler = self._method.make_sampler(int(rng.integers(2**31)))
            for _ in range(self._method.tries):  # each stays pending, so the next is another
                trial = study.ask(self._distributions)
                last = self._codes.candidate(trial.params) or last
                if last is not None and last.key not in self._seen:
                    return Proposal(last)
        found = new_near(self._space, last, rng, self._seen)
        return None if found is None else Proposal(found)

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        self._seen.add(candidate.key)
        number = self._started(candidate)
        if number is not None:
            self._pending.setdefault(candidate.key, []).append(number)
        self._events += 1

    def tell(self, row: TrialRow) -> None:
        self._events += 1
        if row.state == "passed":  # a rung; the trial goes on
            return
        numbers = self._pending.get(row.key)
        # a worker was lost, and the trial came back at another attempt
        number = numbers.pop(0) if numbers else self._started(Candidate.of(row))
        if number is None:
            return
        scores = signed_scores(row, self._objectives)
        if scores is None:
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, scores)

    def _started(self, candidate: Candidate) -> int | None:
        """The number of a new trial of the study; None for a candidate it can't describe."""
        codes = self._codes.of(candidate)
        if codes is None:
            return None
        self._study.enqueue_trial(codes)
        number = self._study.ask(self._distributions).number
        if self._method.mark is not None:
            self._method.mark(self._study, self._study.get_trials(deepcopy=False)[number])
        return number


def optuna_tpe(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> OptunaStrategy:
    """`optuna-tpe`: tree-structured Parzen estimators over all choices jointly."""
    method = Method(lambda seed: TPESampler(seed=seed, multivariate=True))
    return OptunaStrategy(space, objectives, seed, method)


def optuna_nsga2(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> OptunaStrategy:
    """`optuna-nsga2`: a trial belongs to a generation, whoever proposed it."""
    unseeded = NSGAIISampler(seed=0)  # what it is asked for takes no random numbers

    def mark(study: optuna.Study, trial: FrozenTrial) -> None:
        # Optuna does both while it draws a value, and draws none where all are given
        unseeded.get_parent_population(study, unseeded.get_trial_generation(study, trial))

    method = Method(lambda seed: NSGAIISampler(seed=seed), mark)
    return OptunaStrategy(space, objectives, seed, method)


def optuna_gp(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> OptunaStrategy:
    """`optuna-gp`: one suggestion an ask, for its price."""

    def sampler(seed: int) -> GPSampler:
        return GPSampler(seed=seed)

    method = Method(sampler, distributions=real_numbers, copied=copy_of_some, tries=1)
    return OptunaStrategy(space, objectives, seed, method)

"""Forecast: what a search will take here, as intervals, from a few seconds of trying its parts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from statistics import fmean

import numpy as np
import numpy.typing as npt

from controller.config import RunConfig
from controller.plan import Plan, planned
from controller.run import check_workers, read_task
from controller.rung_forecast import Reach, expected_reach
from controller.timings import (
    Layout,
    Timed,
    Timings,
    mean_training,
    step_flops,
    timed_here,
)
from controller.warm_start import warm_start
from evaluator import Task
from evaluator.grid import TRAIN_STEP
from evaluator.latency import LEAST_SECONDS, PAIRS_A_LAYOUT, PAIRS_A_LONG_LAYOUT, RepeatConfig
from evaluator.protocol import COARSE
from results import parse_objectives
from search_space import Space, counts

DRAWS, SURE = 4_000, (5, 50, 95)  # of the whole search; percentiles that are reported
# Guesses, each a range that 90% of machines should lie in:
LOAD = (0.8, 1.25)  # later against now: absolute medians of 8 fresh processes span 26 to 52%
CROWDED = (1.0, 1.4)  # a step beside other workers against one alone
RAY_S, SERIAL_S = (5.0, 20.0), (0.1, 0.5)  # until the first trial starts; 7 s on a calm machine
PROCESS_S = (1.5, 4.0)  # until a fresh process measures: its imports
OVERHEAD_S = (0.05, 0.3)  # of a trial: asking, storing, handing over
ROW_BYTES, SAMPLE_BYTES = 7_000, 4_000  # of a trial and of a measured design, in quickstart runs
GIVEN_BACK = 1.0  # a proposal; where others were counted it was .6
WEIGHT_BYTES = 4

Draws = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Range:
    """The middle of what is expected, and the ends of its 90%."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, draws: Draws) -> Range:
        """The percentiles of what was drawn."""
        return cls(*(float(value) for value in np.percentile(draws, SURE)))


@dataclass(frozen=True)
class Forecast:
    """A whole search before it starts. Seconds of work; those of workers shared among them."""

    config: RunConfig
    plan: Plan
    reach: Reach | None
    timings: Timings
    task: Task
    steps: int  # of a whole training
    warm: tuple[str, ...] = ()  # a sentence for each earlier run that it begins from

    @cached_property
    def trainings(self) -> Draws:
        """Full trainings that all trials come to, (DRAWS,)."""
        rng = np.random.default_rng(1)
        if self.reach is None:
            return np.full(DRAWS, float(self.config.search.trials))
        ends = [Reach.trainings(self.reach.shares, n) for n in (self.reach.least, self.reach.most)]
        return rng.uniform(min(ends), max(ends), DRAWS)

    @cached_property
    def step_s(self) -> Draws:
        """Seconds of a step alone: the mean over the trials of a search, (DRAWS,).

        Which designs a search will train is seen from a few, so these are drawn anew each time
        (Rubin 1981, "The Bayesian bootstrap"); of fewer than two, noise is all that is known.
        """
        rng, plan = np.random.default_rng(2), self.plan
        trials = plan.presets + plan.proposals * plan.seeds + plan.finalists
        share = plan.presets / trials
        parts = [_bootstrapped(timed, rng) for timed in (self.timings.presets, self.timings.drawn)]
        passes = fmean(len(one.step_s) for one in self.timings.all)
        noise = self.timings.noise / np.sqrt(passes * len(self.timings.all))
        mean = share * parts[0] + (1 - share) * parts[1]
        return mean * np.exp(noise * rng.normal(size=DRAWS))

    @cached_property
    def parts(self) -> dict[str, Draws]:
        """Seconds on the wall clock of each part of the search, (DRAWS,)."""
        rng, plan, config = np.random.default_rng(3), self.plan, self.config
        load = _around_one(self.load, rng)
        workers = config.workers
        crowded = _guess(self.crowded, rng) if workers > 1 else np.ones(DRAWS)
        trained = self.trainings * config.training.folds * self.steps * self.step_s
        scored = self.timings.scoring_s * config.training.folds * sum(self._rungs_reached)
        around = self.measured * self.timings.counting_s + config.search.trials * _guess(
            OVERHEAD_S, rng
        )
        around = around + plan.finalists * config.measuring.processes * _guess(PROCESS_S, rng)
        low, high = self.measuring_s
        busy = load * crowded
        # at the end some workers have nothing left to do
        idle = (1 - 1 / workers) * 0.5 * trained / self.trainings
        start = _guess(RAY_S if config.engine.name == "ray" else SERIAL_S, rng)
        return {
            "training": busy * trained / workers,
            "scoring": busy * np.full(DRAWS, scored / workers),
            "measuring": load * rng.uniform(low, high, DRAWS),
            "around trials": busy * (around / workers + idle),
            "starting": start * load,
        }

    @property
    def load(self) -> tuple[float, float]:
        """Later against now; where others want cores, they may leave, or more of them come."""
        cores = len(os.sched_getaffinity(0))
        others = min(1.0, self.timings.load / cores)
        left = max(1.0, (self.timings.load + self.config.workers) / cores)
        return LOAD[0] / left, LOAD[1] * (1 + others / 2)

    @property
    def crowded(self) -> tuple[float, float]:
        """A step among all workers against one alone, on what others leave of the cores."""
        cores, threads = len(os.sched_getaffinity(0)), self.config.threads
        alone, all_of_them = (
            max(1.0, (self.timings.load + n * threads) / cores) for n in (1, self.config.workers)
        )
        return CROWDED[0] * all_of_them / alone, CROWDED[1] * all_of_them / alone

    @property
    def seconds(self) -> Range:
        """On the wall clock; a time budget lets what runs finish."""
        whole = np.sum(list(self.parts.values()), axis=0)
        if self.config.search.minutes is not None:
            trial = self.parts["training"] * self.config.workers / self.config.search.trials
            whole = np.minimum(whole, 60 * self.config.search.minutes + trial)
        return Range.of(whole)

    @property
    def cut_short(self) -> float:
        """The chance that the time budget ends the search before its trials do."""
        if self.config.search.minutes is None:
            return 0.0
        whole = np.sum(list(self.parts.values()), axis=0)
        return float(np.mean(whole > 60 * self.config.search.minutes))

    @property
    def measured(self) -> int:
        """Designs that are measured once each, whatever their seeds."""
        repeats = self.config.search.preset_seeds
        return ceil(self.plan.presets / repeats) + self.plan.proposals

    @property
    def measuring_s(self) -> tuple[float, float]:
        """Seconds with the machine alone: if all intervals settle at once, and if none does."""
        config, cells = self.config, self.timings.cells
        first = {cell.name for cell in config.deciding_cells()}
        repeat = config.measuring.repeat
        wide = max(COARSE.tolerance, min(0.9, 2 * repeat.tolerance))
        coarse = COARSE.model_copy(update={"tolerance": wide})
        trial, again, fresh = np.zeros(2), np.zeros(2), np.zeros(2)
        for cell, layout in cells.items():
            fine = np.array(loop_seconds(layout, repeat))
            fresh += fine
            if cell.name in first:
                trial += fine
                continue
            again += fine  # a finalist's cell that was measured coarsely before
            trial += 0.0 if cell == TRAIN_STEP else np.array(loop_seconds(layout, coarse))
        finalists = self.plan.finalists * (config.measuring.processes * fresh + again)
        low, high = self.measured * trial + finalists
        if self.config.search.measure_first:
            high += GIVEN_BACK * self.plan.proposals * trial[1]
        return float(low), float(high)

    @property
    def _rungs_reached(self) -> Sequence[float]:
        """Scorings at each rung."""
        return (self.config.search.trials,) if self.reach is None else self.reach.middle

    @property
    def tokens(self) -> float:
        """Training tokens in all."""
        return float(np.median(self.trainings)) * self.tokens_a_trial

    @property
    def tokens_a_trial(self) -> int:
        """Of a whole training."""
        return self.task.tokens_per_step() * self.steps * self.config.training.folds

    @property
    def flops(self) -> float:
        """Of all training steps, from the means of the timed designs."""
        each = fmean(step_flops(one.design, self.task) for one in self.timings.all)
        folds = self.config.training.folds
        return float(np.median(self.trainings)) * each * self.steps * folds

    @property
    def core_hours(self) -> Range:
        """Hours of the cores that the workers hold."""
        held = self.config.workers * self.config.threads / 3600
        return Range(
            *(held * s for s in (self.seconds.low, self.seconds.middle, self.seconds.high))
        )

    @property
    def disk_bytes(self) -> tuple[float, float]:
        """The run's folder when it is finished, and at its largest, checkpoints included."""
        task, search = self.task, self.config.search
        weights = WEIGHT_BYTES * fmean(
            counts.parameters(one.design, task.vocabulary, task.channels)
            for one in self.timings.all
        )
        ended = search.trials if self.reach is None else self.reach.middle[-1]
        kept = ended * weights if self.config.training.folds == 1 else 0.0
        returned = GIVEN_BACK * self.plan.proposals if search.measure_first else 0
        rows = (search.trials + returned) * ROW_BYTES + (self.measured + returned) * SAMPLE_BYTES
        stopped = search.trials - ended
        resuming = self.config.workers if self.config.training.checkpoint_every else 0
        return rows + kept, rows + kept + 3 * weights * (stopped + resuming)


def forecast(config: RunConfig, space: Space) -> Forecast:
    """Try the parts of a search here and reckon; nothing is written."""
    check_workers(config, None)
    task = Task.of(config.task, read_task(config))
    said = warm_start(config, task.fingerprint).said
    timings = timed_here(config, space, task)
    training, task = mean_training(config, space, task)
    plan = planned(space, config)
    reach = expected_reach(config.search, plan, parse_objectives(config.objectives))
    steps = training.steps_over(task.tokens_per_step())
    return Forecast(config, plan, reach, timings, task, steps, said)


def loop_seconds(layout: Layout, repeat: RepeatConfig) -> tuple[float, float]:
    """The least and the most that `evaluator.latency` samples one cell for."""
    long = layout.pair_s * 2 * PAIRS_A_LAYOUT > repeat.seconds
    pairs = PAIRS_A_LONG_LAYOUT if long else PAIRS_A_LAYOUT
    one = layout.build_s + pairs * layout.pair_s
    longest = min(max(2, ceil(repeat.seconds / one)), max(2, repeat.most // pairs))  # layouts
    floor = min(LEAST_SECONDS, repeat.seconds)
    shortest = min(longest, max(2, ceil(repeat.least / pairs), ceil(floor / one)))
    return shortest * one, longest * one


def _bootstrapped(timed: Sequence[Timed], rng: np.random.Generator) -> Draws:
    """Means over designs, each weighed at random."""
    if not timed:
        return np.zeros(DRAWS)
    return rng.dirichlet(np.ones(len(timed)), DRAWS) @ np.array([one.mean_s for one in timed])


def _around_one(ends: tuple[float, float], rng: np.random.Generator) -> Draws:
    """Drawn so that half lie on either side of 1, and 90% between the ends."""
    low, high = np.log(ends) / 1.645
    normal = rng.normal(size=DRAWS)
    return np.exp(np.where(normal < 0, -low, high) * normal)


def _guess(ends: tuple[float, float], rng: np.random.Generator) -> Draws:
    """Drawn so that 90% lie between the ends; lognormal, since factors multiply."""
    low, high = np.log(ends)
    return np.exp(rng.normal((low + high) / 2, (high - low) / (2 * 1.645), DRAWS))

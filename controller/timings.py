"""Timings: what the parts of a trial take on this machine, from a few seconds of trying each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
import torch

from controller.config import RunConfig
from evaluator import Task, model_of
from evaluator.device_lock import DeviceLock
from evaluator.grid import Cell
from evaluator.latency import SHORTEST_SAMPLE_S
from evaluator.memory import memory_costs
from evaluator.scoring import score
from evaluator.settings import with_settings
from evaluator.step_time import step_seconds
from evaluator.training_config import TrainingConfig
from evaluator.work import work_of
from search_space import Design, Space, counts

PASSES = 2  # over all designs, so that what the machine does meanwhile is seen
DRAWN = 5  # designs of the structured sampler, of which most proposals are
STEPS_S, CELLS_S = 10.0, 5.0  # time at most to begin something more
SEED = 0
DRAWN_NAME = "drawn"


@dataclass(frozen=True, slots=True)
class Layout:
    """Seconds that a cell's paired loop takes: to build both models, and for a pair of samples."""

    build_s: float
    pair_s: float


@dataclass(frozen=True, slots=True)
class Timed:
    """A design and the seconds of a training step, once for each pass that there was time for."""

    design: Design
    name: str  # a preset's, or `drawn`
    step_s: list[float] = field(default_factory=list)

    @property
    def mean_s(self) -> float:
        """Of all passes."""
        return fmean(self.step_s)


@dataclass(frozen=True, slots=True)
class Timings:
    """All that was timed, and what was counted beside it."""

    presets: list[Timed]  # the reference first
    drawn: list[Timed]
    scoring_s: float
    counting_s: float  # of a design's peak bytes
    cells: dict[Cell, Layout]
    peak_bytes: float  # of the dearest preset's training or prefill
    took_s: float
    load: float = 0.0  # processes of others that wanted a core before this began

    @property
    def noise(self) -> float:
        """Standard deviation of the log of one pass, from designs timed twice; 0 if none was."""
        twice = [np.log(t.step_s[0] / t.step_s[1]) for t in self.all if len(t.step_s) > 1]
        return float(np.sqrt(np.mean(np.square(twice)) / 2)) if twice else 0.0

    @property
    def all(self) -> list[Timed]:
        """Presets and drawn designs."""
        return [*self.presets, *self.drawn]


def mean_training(config: RunConfig, space: Space, task: Task) -> tuple[TrainingConfig, Task]:
    """What a trial trains with, at the means of steps and batches where these are settings."""
    sizes = {
        name: round(fmean(map(float, values)))
        for name, values in space.settings.items()
        if name in ("training.steps", "training.tokens") or name.endswith(".batch")
    }
    return with_settings(config.training, task, sizes)


def step_flops(design: Design, task: Task) -> int:
    """FLOPs of a training step, all parts together."""
    shapes = [part.train_batch(SEED, 0).targets.shape for part in task.parts]
    return sum(counts.train_step_flops(design, t, b, task.vocabulary) for b, t in shapes)


def timed_here(config: RunConfig, space: Space, task: Task) -> Timings:
    """Try everything; nothing is written. Another search's measuring is waited for."""
    began, load = time.perf_counter(), os.getloadavg()[0]
    torch.set_num_threads(config.threads)
    training, task = mean_training(config, space, task)
    lock = DeviceLock("cpu")
    presets, drawn = _chosen(config, space, task)
    order = [presets[0], drawn[0], *presets[1:], *drawn[1:]]
    timed_steps(order, task, training, lock)
    done = [one for one in order if one.step_s]
    reference = presets[0].design
    dearest = max((one.design for one in presets), key=lambda design: step_flops(design, task))
    model = model_of(reference, task.vocabulary, task.channels)
    with lock.shared():
        scoring_s = _seconds(lambda: score(model, task))
        cells = _layouts(config, reference, task)
    peaks: dict[str, float] = {}
    sizes = (task.vocabulary, task.channels, config.measuring, task.largest_batch())
    counting_s = _seconds(lambda: peaks.update(memory_costs(dearest, *sizes)))
    return Timings(
        presets=[one for one in done if one.name != DRAWN_NAME],
        drawn=[one for one in done if one.name == DRAWN_NAME],
        scoring_s=scoring_s,
        counting_s=counting_s,
        cells=cells,
        peak_bytes=max(peaks.values()),
        took_s=time.perf_counter() - began,
        load=load,
    )


def timed_steps(
    designs: list[Timed], task: Task, training: TrainingConfig, lock: DeviceLock
) -> None:
    """Training steps of each in turn, in passes, as far as there is time; two are always timed."""
    began = time.perf_counter()
    for number in range(PASSES * len(designs)):
        if number >= 2 and time.perf_counter() - began > STEPS_S:
            return
        one = designs[number % len(designs)]
        model = model_of(one.design, task.vocabulary, task.channels)
        with lock.shared():
            one.step_s.append(step_seconds(model, task, training))


def _chosen(config: RunConfig, space: Space, task: Task) -> tuple[list[Timed], list[Timed]]:
    """The reference, the dearest and the cheapest preset; and designs as a search draws them."""
    known = space.presets()
    named = {name: known[name] for name in config.search.presets if name in known}
    by_cost = sorted(named, key=lambda name: step_flops(named[name], task))
    names = dict.fromkeys(["mha", *by_cost[-1:], *by_cost[:1]])
    rng = np.random.default_rng(SEED)
    drawn = {(design := space.sample_structured(rng)).key: design for _ in range(DRAWN)}
    return (
        [Timed(known[name], name) for name in names],
        [Timed(design, DRAWN_NAME) for design in drawn.values()],
    )


def _layouts(config: RunConfig, reference: Design, task: Task) -> dict[Cell, Layout]:
    """The reference beside itself in every cell that there is time for; others go by the last."""
    began, found = time.perf_counter(), {}
    batch = task.largest_batch()
    for cell in config.measuring.cells(config.space.kind):
        if found and time.perf_counter() - began > CELLS_S:
            found[cell] = max(found.values(), key=lambda layout: layout.pair_s)
            continue
        started = time.perf_counter()
        runs = [
            work_of(model_of(reference, task.vocabulary, task.channels), cell, batch).run
            for _ in range(2)
        ]
        for run in runs:
            run()
        build_s = time.perf_counter() - started
        pair_s = sum(max(_seconds(run), SHORTEST_SAMPLE_S) for run in runs)
        found[cell] = Layout(build_s, pair_s)
    return found


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started

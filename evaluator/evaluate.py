"""Evaluate one trial: count, check limits, measure alone on the device, check again, train, score.

Costs don't depend on trained weights, so a design that breaks a limit costs no training step. With
rungs, a trial is scored at each, and goes on to the next when it is asked for more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field

from evaluator.checkpoint import SavedTraining
from evaluator.costs import counted_costs
from evaluator.device_lock import DeviceLock
from evaluator.fast_matmul import fast_fp32
from evaluator.grid import GridConfig
from evaluator.limits import Limit, broken_limit
from evaluator.measurement import Measurement, State
from evaluator.measuring import Subject
from evaluator.memory import is_out_of_memory, measured_together, memory_costs, too_large
from evaluator.model import AnyModel, model_of
from evaluator.protocol import Protocol
from evaluator.roofline import predicted_columns
from evaluator.scoring import Scores, averaged, score
from evaluator.settings import with_settings
from evaluator.spans import Spans
from evaluator.start import Start
from evaluator.tasks import Task
from evaluator.tasks.interface import Batch
from evaluator.training import Training, pieces_of, train
from evaluator.training_config import TrainingConfig
from search_space import Design
from search_space.axis_config import Value


class EvaluationConfig(BaseModel):
    """Everything that decides what a trial's numbers mean, besides the task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: TrainingConfig = TrainingConfig()
    measuring: GridConfig = GridConfig()
    limits: dict[str, Limit] = Field(
        default_factory=dict, description="bounds by column, checked before training"
    )
    threads: int = Field(default=1, ge=1, le=256, description="threads of one worker")
    workers: int = Field(default=1, ge=1, description="trials at once on one machine")
    first: frozenset[str] | None = Field(
        default=None, description="cells that something is decided by; all if left out"
    )


@dataclass(slots=True)
class Evaluator:
    """Evaluates designs of one run; holds what all its trials share."""

    config: EvaluationConfig
    task: Task
    reference: Design
    start: Start | None = None
    device: str = "cpu"
    kept: Path | None = None  # a folder for what was measured, which all workers see
    _protocol: Protocol | None = None
    _peaks: dict[str, dict[str, float]] = field(default_factory=dict)
    _lock: DeviceLock | None = None
    _fingerprint: str = ""
    _spans: Spans = field(default_factory=Spans)  # of the trial on its way

    def evaluate(
        self,
        design: Design,
        seed: int,
        settings: Mapping[str, Value] | None = None,
        checkpoint: Path | None = None,
        *,
        thorough: bool = False,
    ) -> Measurement:
        """The whole life of a trial, as the last of its `stages`."""
        *_, last = self.stages(design, seed, settings, checkpoint, thorough=thorough)
        return last

    def stages(
        self,
        design: Design,
        seed: int,
        settings: Mapping[str, Value] | None = None,
        checkpoint: Path | None = None,
        *,
        thorough: bool = False,
        rungs: Sequence[float] = (1.0,),
        spans: Spans | None = None,
    ) -> Iterator[Measurement]:
        """What is known of a trial after each of the shares `rungs` of its training.

        A share of 0 is that of its costs alone. All but the last are `paused`, unless one ends it;
        every failure is a result with its reason. Settings hold for this trial alone; without them
        the run's own configuration does. If the file `checkpoint` holds this very trial's training
        so far, it goes on from there, and costs are not measured again. A `thorough` trial has the
        whole grid measured, in fresh processes as well. What is done when goes to `spans`.
        """
        self._spans = spans or Spans()
        torch.set_num_threads(self.config.threads)
        found = Measurement("complete", provenance=self._provenance())
        self._spans.switch(None)
        try:
            training, task = with_settings(self.config.training, self.task, settings or {})
            of = " ".join((design.key, str(seed), training.model_dump_json(), self._data()))
            saved = SavedTraining(checkpoint, of)
            if known := saved.load_beside():
                found.metrics.update(known["metrics"])
                found.notes.update(known["notes"])
            else:
                with self._spans.doing("counting"):
                    reason = self._costs(design, training, task, found, thorough)
                if reason:
                    yield _ended(found, "infeasible", reason)
                    return
            saved.beside.update(metrics=dict(found.metrics), notes=dict(found.notes))
            if rungs[0] == 0:
                yield _ended(found, "paused", "measured, not trained")
            trained = [share for share in rungs if share > 0]
            yield from self._learned(design, seed, (training, task), found, saved, trained)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            yield _ended(found, "infeasible", f"out of memory: {_first_line(error)}")

    def _costs(
        self,
        design: Design,
        training: TrainingConfig,
        task: Task,
        found: Measurement,
        thorough: bool,
    ) -> str | None:
        """All costs into `found`, those that are cheap to know first; why not to train, if so."""
        grid, limits = self.config.measuring, self.config.limits
        found.metrics.update(counted_costs(design, task.vocabulary, grid, task.channels))
        found.metrics.update(predicted_columns(design, self.reference, task.vocabulary, grid))
        if reason := broken_limit(limits, found.metrics):
            return reason

        batch = pieces_of(task.largest_batch(), training.accumulate)[0]
        own = self._memory(design, task, batch)
        found.metrics.update(own)
        together = measured_together(own, self._memory(self.reference, task, batch))
        reason = too_large(own, together, self._workers_here()) or broken_limit(limits, own)
        if reason:
            return reason

        subject = Subject(design, self.reference, task.vocabulary, task.channels, batch)
        with self._spans.doing("measuring"):
            measured = self._shared_protocol().measure(subject, thorough, self._spans)
        found.metrics.update(measured.metrics)
        found.notes.update(measured.notes)
        return broken_limit(limits, found.metrics)

    def _learned(
        self,
        design: Design,
        seed: int,
        how: tuple[TrainingConfig, Task],
        found: Measurement,
        saved: SavedTraining,
        rungs: Sequence[float],
    ) -> Iterator[Measurement]:
        """Train and score up to each rung, the model made anew from its checkpoint each time."""
        training, task = how
        steps, reached = training.steps_over(task.tokens_per_step()), 0
        assert training.folds == 1 or len(rungs) == 1, "folds have no checkpoints to go on from"
        for share in rungs:
            until = steps if share >= 1 else max(1, min(steps - 1, round(share * steps)))
            found.metrics["train_seconds"] = 0.0
            learned: list[Scores] = []
            weights: dict[str, torch.Tensor] = {}  # of several models, none is the trial's
            for fold in range(training.folds):
                folded = task.fold(fold, training.folds)
                with self._spans.doing("training"):
                    model = self._begun(design, task, seed, found)
                    trained = self._trained(model, folded, training, seed, saved, until, found)
                if trained.resumed_at not in (0, reached):
                    found.notes["training"] = f"went on from step {trained.resumed_at}"
                if trained.ended:
                    yield _ended(found, "diverged", trained.ended)
                    return
                with self._spans.doing("scoring"):
                    learned.append(score(model, folded, self._shared_lock().shared))
                weights = dict(model.state_dict()) if training.folds == 1 else {}
            scored = replace(found, metrics=found.metrics | averaged(learned))
            if share < 1:
                yield _ended(scored, "paused", f"stopped after {until} of {steps} steps")
            else:
                groups = list(learned[0].groups) if training.folds == 1 else []
                yield replace(scored, held_out=groups, weights=weights)
            reached = until

    def _trained(
        self,
        model: AnyModel,
        task: Task,
        training: TrainingConfig,
        seed: int,
        saved: SavedTraining,
        until: int,
        found: Measurement,
    ) -> Training:
        """Train, and put what was seen on the way into `found`."""
        with fast_fp32() as fast:  # where it is as exact; never while measuring
            steps = training.steps_over(task.tokens_per_step())
            guard = self._spans.counted(self._shared_lock().shared, steps, saved.steps())
            fresh = self.start is None
            trained = train(model, task, training, seed, guard, saved, fresh=fresh, until=until)
        found.notes["training products"] = fast.describe()
        found.curve[:], found.gradients[:] = trained.curve, trained.gradients
        found.metrics["train_seconds"] += trained.seconds
        return trained

    def _memory(self, design: Design, task: Task, batch: Batch) -> dict[str, float]:
        """Peaks and deployed bytes, counted once for all seeds that this process trains."""
        grid, sizes = self.config.measuring, (task.vocabulary, task.channels)
        shapes = [None if x is None else x.shape for x in batch]
        key = f"{design.key} {shapes}"
        if key not in self._peaks:
            self._peaks[key] = memory_costs(design, *sizes, grid, batch)
        counted = counted_costs(design, sizes[0], grid, sizes[1])
        return counted | self._peaks[key]

    def _workers_here(self) -> int:
        """Trials at once on this node: on a cluster, a run's workers are on many."""
        cores = len(os.sched_getaffinity(0))
        return min(self.config.workers, max(1, cores // self.config.threads))

    def _begun(self, design: Design, task: Task, seed: int, found: Measurement) -> AnyModel:
        """The model before its first step: drawn under the seed, and given what a parent has."""
        torch.manual_seed(seed)
        model = model_of(design, task.vocabulary, task.channels)
        if self.start:
            share = self.start.put_into(model, design, task.spelled())
            found.metrics["inherited_share"] = share
        return model

    def _data(self) -> str:
        """The fingerprint of the run's data, taken once; settings leave bytes and scores alone."""
        self._fingerprint = self._fingerprint or self.task.fingerprint
        return self._fingerprint

    def _shared_lock(self) -> DeviceLock:
        """One for all trials: each lock keeps two files open."""
        if self._lock is None:
            self._lock = DeviceLock(self.device, waits=lambda waits: self._spans.waiting(waits))
        return self._lock

    def _shared_protocol(self) -> Protocol:
        if self._protocol is None:
            config, lock = self.config, self._shared_lock()
            self._protocol = Protocol(
                config.measuring, config.first, config.threads, self.device, lock, self.kept
            )
        return self._protocol

    def _provenance(self) -> dict[str, str | int]:
        return {
            "device": self.device,
            "threads": self.config.threads,
            "dtype": "float32",
            "torch": torch.__version__,
            "kernels": "plain-pytorch",
            "data": self._data(),
        }


def _ended(found: Measurement, state: State, reason: str) -> Measurement:
    """What is known so far, under another outcome; what is found later does not change it."""
    known = {"metrics": dict(found.metrics), "notes": dict(found.notes)}
    seen = {"curve": list(found.curve), "gradients": list(found.gradients)}
    return replace(found, state=state, reason=reason, **known, **seen)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

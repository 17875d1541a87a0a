"""Evaluate one trial: count, check limits, measure alone on the device, check again, train, score.

Costs don't depend on trained weights, so a design that breaks a limit costs no training step.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluator.checkpoint import SavedTraining
from evaluator.costs import GridConfig, counted_costs, latency_costs, memory_costs
from evaluator.device_lock import DeviceLock
from evaluator.fast_matmul import fast_fp32
from evaluator.model import AnyModel, model_of
from evaluator.scoring import score
from evaluator.settings import with_settings
from evaluator.start import Start
from evaluator.tasks import Task
from evaluator.training import pieces_of, train
from evaluator.training_config import TrainingConfig
from search_space import Design
from search_space.axis_config import Value

State = Literal["complete", "infeasible", "diverged", "failed"]


class Limit(BaseModel):
    """A bound on something known before training; a design that breaks it is not trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Limit:
        if self.min is None and self.max is None:
            raise ValueError("a limit needs `min` or `max`; add one")
        return self


class EvaluationConfig(BaseModel):
    """Everything that decides what a trial's numbers mean, besides the task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: TrainingConfig = TrainingConfig()
    measuring: GridConfig = GridConfig()
    limits: dict[str, Limit] = Field(
        default_factory=dict, description="bounds by column, checked before training"
    )
    threads: int = Field(default=1, ge=1, le=256, description="threads of one worker")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a trial gave: an outcome with its reason, numbers, remarks and where they come from."""

    state: State
    reason: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    curve: list[tuple[int, float]] = field(default_factory=list)
    gradients: list[list[float]] = field(default_factory=list)  # as the curve's points, per block
    provenance: dict[str, str | int] = field(default_factory=dict)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(slots=True)
class Evaluator:
    """Evaluates designs of one run; holds what all its trials share."""

    config: EvaluationConfig
    task: Task
    reference: Design
    start: Start | None = None
    device: str = "cpu"
    _reference_model: AnyModel | None = None
    _lock: DeviceLock | None = None
    _fingerprint: str = ""

    def evaluate(
        self,
        design: Design,
        seed: int,
        settings: Mapping[str, Value] | None = None,
        checkpoint: Path | None = None,
    ) -> Measurement:
        """The whole life of a trial. Every failure is a result with its reason.

        Settings hold for this trial alone; without them the run's own configuration does. If the
        file `checkpoint` holds this very trial's training so far, it goes on from there.
        """
        torch.set_num_threads(self.config.threads)
        found = Measurement("complete", provenance=self._provenance())
        try:
            return self._evaluate(design, seed, settings or {}, found, checkpoint)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            return _ended(found, "infeasible", f"out of memory: {_first_line(error)}")

    def _evaluate(
        self,
        design: Design,
        seed: int,
        settings: Mapping[str, Value],
        found: Measurement,
        checkpoint: Path | None,
    ) -> Measurement:
        lock, config = self._shared_lock(), self.config
        training, task = with_settings(config.training, self.task, settings)
        counted = counted_costs(design, task.vocabulary, config.measuring, task.channels)
        found.metrics.update(counted)
        if reason := self._broken_limit(found.metrics):
            return _ended(found, "infeasible", reason)

        model = self._begun(design, task, seed, found)
        started = time.perf_counter()
        with lock.alone():
            waited = time.perf_counter() - started
            costs = latency_costs(model, self._shared_reference(), config.measuring)
        found.metrics.update(costs.metrics)
        found.notes.update(costs.notes)
        with lock.shared():  # counted, not timed; but it keeps the device busy
            largest = pieces_of(task.largest_batch(), training.accumulate)[0]
            found.metrics.update(memory_costs(model, config.measuring, largest))
        found.metrics["measure_seconds"] = time.perf_counter() - started - waited
        if reason := self._broken_limit(found.metrics):
            return _ended(found, "infeasible", reason)

        of = " ".join((design.key, str(seed), training.model_dump_json(), self._data()))
        how, saved = (training, task), SavedTraining(checkpoint, of)
        return self._learned(model, design, seed, how, found, saved)

    def _learned(
        self,
        model: AnyModel,
        design: Design,
        seed: int,
        how: tuple[TrainingConfig, Task],
        found: Measurement,
        saved: SavedTraining,
    ) -> Measurement:
        """Train and score, once or in every fold; weights are kept of a single training alone."""
        (training, task), lock = how, self._shared_lock()
        started, learned = time.perf_counter(), []
        for fold in range(training.folds):
            model = self._begun(design, task, seed, found) if fold else model
            with fast_fp32() as fast:  # where it is as exact; never while measuring
                folded = task.fold(fold, training.folds)
                fresh = self.start is None
                trained = train(model, folded, training, seed, lock.shared, saved, fresh=fresh)
            found.notes["training products"] = fast.describe()
            if trained.resumed_at:
                found.notes["training"] = f"went on from step {trained.resumed_at}"
            found.curve[:], found.gradients[:] = trained.curve, trained.gradients
            found.metrics["train_seconds"] = time.perf_counter() - started
            if trained.ended:
                return _ended(found, "diverged", trained.ended)
            learned.append(score(model, folded, lock.shared))
        found.metrics.update(averaged(learned))
        if training.folds == 1:
            found.weights.update(model.state_dict())
        return found

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
            self._lock = DeviceLock(self.device)
        return self._lock

    def _shared_reference(self) -> AnyModel:
        if self._reference_model is None:
            self._reference_model = model_of(self.reference, self.task.vocabulary)
        return self._reference_model

    def _broken_limit(self, metrics: dict[str, float]) -> str | None:
        """The first limit that what is known so far breaks, as a sentence."""
        for column, limit in self.config.limits.items():
            value = metrics.get(column)
            if value is None:
                continue
            if limit.max is not None and value > limit.max:
                return f"{column} is {value:,.6g}, above the limit of {limit.max:,.6g}"
            if limit.min is not None and value < limit.min:
                return f"{column} is {value:,.6g}, below the limit of {limit.min:,.6g}"
        return None

    def _provenance(self) -> dict[str, str | int]:
        return {
            "device": self.device,
            "threads": self.config.threads,
            "dtype": "float32",
            "torch": torch.__version__,
            "kernels": "plain-pytorch",
            "data": self._data(),
        }


def averaged(folds: list[dict[str, float]]) -> dict[str, float]:
    """Metrics as the mean over folds; with several, the spread of the accuracy beside it."""
    found = {name: fmean(fold[name] for fold in folds) for name in folds[0]}
    if len(folds) > 1:
        found["accuracy_fold_sd"] = stdev(fold["accuracy"] for fold in folds)
    return found


def _ended(found: Measurement, state: State, reason: str) -> Measurement:
    """What is known so far, under another outcome."""
    return replace(found, state=state, reason=reason)


def _out_of_memory(error: BaseException) -> bool:
    """PyTorch's CPU allocator raises a plain RuntimeError, worded differently on each system."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "can't allocate memory" in text or "not enough memory" in text


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

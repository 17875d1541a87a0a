"""How long a training step takes here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from evaluator.model import AnyModel
from evaluator.tasks.mix import Task
from evaluator.training import train
from evaluator.training_config import TrainingConfig

WARM_UP, TIMED = 3, 5


def step_seconds(model: AnyModel, task: Task, config: TrainingConfig) -> float:
    """Seconds of a step of `config`, the median of a few after a warm-up; the model is trained."""
    seconds: list[float] = []

    @contextmanager
    def timed() -> Iterator[None]:
        started = time.perf_counter()
        yield
        seconds.append(time.perf_counter() - started)

    few = {"steps": WARM_UP + TIMED, "tokens": None, "checkpoint_every": None}
    train(model, task, config.model_copy(update=few), 0, timed)
    return median(seconds[WARM_UP:])

"""Cost: how long a search will take here, in a line, from a few steps of the reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from controller.config import RunConfig
from controller.run import read_task
from controller.timings import (
    Timed,
    mean_training,
    timed_steps,
)
from evaluator import Task
from evaluator.device_lock import DeviceLock
from search_space import Space

BESIDE_TRAINING = 1.15  # measuring and scoring, as a share of training: quickstart runs took 1.1


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one trial alone on a core, and what the budget makes of it."""

    trial_s: float
    trials: int
    workers: int
    limit_minutes: float | None

    @property
    def minutes(self) -> float:
        """Of the whole search; the time budget may end it earlier."""
        whole = self.trial_s * self.trials / self.workers / 60
        return whole if self.limit_minutes is None else min(whole, self.limit_minutes)

    def describe(self) -> str:
        """For people."""
        whole = f"{self.minutes:.0f} minutes" if self.minutes >= 1 else "under a minute"
        limit = "" if self.limit_minutes is None else f", limited to {self.limit_minutes:g}"
        trial = f"{self.trial_s:.2g}" if self.trial_s < 10 else f"{self.trial_s:,.0f}"
        return (
            f"about {trial} s of training a trial and {whole} in all on "
            f"{self.workers} worker(s){limit}; timed here on a few steps of dense multi-head, "
            f"and `attnas search --dry-run` says more"
        )


def estimated_cost(config: RunConfig, space: Space) -> Cost:
    """The short estimate: a few steps of the reference alone.

    Steps and batches that are settings count at the mean of their values.
    """
    torch.set_num_threads(config.threads)
    training, task = mean_training(config, space, Task.of(config.task, read_task(config)))
    reference = Timed(space.presets()["mha"], "mha")
    timed_steps([reference], task, training, DeviceLock("cpu"))
    steps = training.steps_over(task.tokens_per_step())
    return Cost(
        trial_s=BESIDE_TRAINING * reference.mean_s * steps * training.folds,
        trials=config.search.trials,
        workers=config.workers,
        limit_minutes=config.search.minutes,
    )

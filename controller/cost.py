"""Cost: how long a search will take here, from a few training steps of the reference design."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import torch

from controller.config import RunConfig
from controller.run import read_task
from evaluator import Task, model_of
from evaluator.settings import with_settings
from evaluator.step_time import step_seconds
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
            f"{self.workers} worker(s){limit}; timed here on a few steps of dense multi-head"
        )


def estimated_cost(config: RunConfig, space: Space) -> Cost:
    """Time a few steps of the reference; designs with windows are a little cheaper.

    Steps and batches that are settings count at the mean of their values.
    """
    torch.set_num_threads(config.threads)
    task = Task.of(config.task, read_task(config))
    sizes = {
        name: round(fmean(map(float, values)))
        for name, values in space.settings.items()
        if name in ("training.steps", "training.tokens") or name.endswith(".batch")
    }
    training, task = with_settings(config.training, task, sizes)
    model = model_of(space.presets()["mha"], task.vocabulary, task.channels)
    step_s = step_seconds(model, task, training)
    steps = training.steps_over(task.tokens_per_step())
    return Cost(
        trial_s=BESIDE_TRAINING * step_s * steps * training.folds,
        trials=config.search.trials,
        workers=config.workers,
        limit_minutes=config.search.minutes,
    )

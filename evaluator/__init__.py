"""What a design costs and scores: kernels, model, tasks, training, measuring.

Each name is imported when it is first used: what watches over a trial needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluator.evaluate import EvaluationConfig as EvaluationConfig
    from evaluator.evaluate import Evaluator as Evaluator
    from evaluator.grid import GridConfig as GridConfig
    from evaluator.latency import PairedLatency as PairedLatency
    from evaluator.latency import RepeatConfig as RepeatConfig
    from evaluator.latency import measure_pair as measure_pair
    from evaluator.measurement import Measurement as Measurement
    from evaluator.model import CausalLM as CausalLM
    from evaluator.model import model_of as model_of
    from evaluator.tasks import Task as Task
    from evaluator.tasks import TaskConfig as TaskConfig
    from evaluator.training_config import TrainingConfig as TrainingConfig

_HOMES = {
    "evaluator.evaluate": ("EvaluationConfig", "Evaluator"),
    "evaluator.grid": ("GridConfig",),
    "evaluator.latency": ("PairedLatency", "RepeatConfig", "measure_pair"),
    "evaluator.measurement": ("Measurement",),
    "evaluator.model": ("CausalLM", "model_of"),
    "evaluator.tasks": ("Task", "TaskConfig"),
    "evaluator.training_config": ("TrainingConfig",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"evaluator has no {name!r}; it has {', '.join(sorted(_HOME_OF))}")
    return getattr(import_module(_HOME_OF[name]), name)

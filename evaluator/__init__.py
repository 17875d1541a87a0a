"""What a design costs and scores: kernels, model, tasks, training, measuring."""

from evaluator.evaluate import EvaluationConfig, Evaluator, Measurement
from evaluator.grid import GridConfig
from evaluator.latency import PairedLatency, RepeatConfig, measure_pair
from evaluator.model import CausalLM, model_of
from evaluator.tasks import Task, TaskConfig
from evaluator.training_config import TrainingConfig

__all__ = [
    "CausalLM",
    "EvaluationConfig",
    "Evaluator",
    "GridConfig",
    "Measurement",
    "PairedLatency",
    "RepeatConfig",
    "Task",
    "TaskConfig",
    "TrainingConfig",
    "measure_pair",
    "model_of",
]

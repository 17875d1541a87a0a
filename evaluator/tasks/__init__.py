"""Tasks: what a design is trained on and scored by."""

from evaluator.tasks.interface import IGNORED, Batch, Part, Tally
from evaluator.tasks.language_model import LanguageModel, LmConfig
from evaluator.tasks.mix import Task, TaskConfig
from evaluator.tasks.recall import Recall, RecallConfig
from evaluator.tasks.registry import TASKS

__all__ = [
    "IGNORED",
    "TASKS",
    "Batch",
    "LanguageModel",
    "LmConfig",
    "Part",
    "Recall",
    "RecallConfig",
    "Tally",
    "Task",
    "TaskConfig",
]

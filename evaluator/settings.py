"""Settings: what of training may differ from trial to trial, and a trial's values put in place.

    training.<field>      any field of the training configuration that decides what is learned
    task.<part>.batch     sequences per training step

Everything else of the task decides the data, the vocabulary or what an accuracy means, so trials
that differed in it would not compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from evaluator.tasks import Part, Task, TaskConfig
from evaluator.training_config import TrainingConfig
from search_space.axis_config import Value

Config = TypeVar("Config", bound=BaseModel)

# These change what a trial is scored on, or nothing that it learns.
NOT_SETTINGS = ("folds", "checkpoint_every", "log_every")


def settable(training: TrainingConfig, task: TaskConfig) -> dict[str, tuple[BaseModel, str]]:
    """Every setting that this configuration has: the part that holds it, and its field there."""
    found: dict[str, tuple[BaseModel, str]] = {
        f"training.{name}": (training, name)
        for name in type(training).model_fields
        if name not in NOT_SETTINGS
    }
    for kind, part in task.parts():
        found[f"task.{kind.name}.batch"] = (part, "batch")
    return found


def with_settings(
    training: TrainingConfig, task: Task, settings: Mapping[str, Value]
) -> tuple[TrainingConfig, Task]:
    """Both under a trial's settings; the task is over the same data."""
    changes: dict[str, dict[str, Any]] = {}
    for path, value in settings.items():
        part, _, name = path.rpartition(".")
        changes.setdefault(part, {})[name] = value
    training = _changed(training, changes.pop("training", {}))
    parts = tuple(_configured(part, changes.pop(f"task.{part.name}", {})) for part in task.parts)
    assert not changes, f"settings that nothing takes: {changes}"
    return training, Task(parts)


def _configured(part: Part, changes: dict[str, Any]) -> Part:
    if not changes:
        return part
    config = _changed(part.config, changes)
    return cast(Part, replace(cast(Any, part), config=config))


def _changed(config: Config, changes: Mapping[str, Any]) -> Config:
    return type(config).model_validate({**config.model_dump(), **changes}) if changes else config

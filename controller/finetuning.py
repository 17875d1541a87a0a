"""Fine-tuning: the configuration of a run that trains one trial's design on, from its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from controller.parents import parent_of
from controller.trained_as import as_trained
from evaluator.tasks import TASKS
from results import Run
from search_space import ConfigError, Document, Problem, load_yaml

KNOWN_ANYWHERE = (
    *("prefill_", "decode_", "train_step_", "predicted_", "peak_"),
    *("parameters", "kv_cache_bytes", "deployed_bytes", "accuracy"),
)


def finetuning(run: Run, trial: int, task: str | None, seeds: int, frozen: bool) -> Document:
    """The parent's configuration with another task, and one design to train under some seeds.

    `task` is the name of one, a YAML file with a `task`, or a Python file with a task of one's own;
    without it the parent's is trained on. RunError or ConfigError, one sentence, where it can't be.
    """
    parent = parent_of(run, trial)
    row = [row for row in run.rows.to_pylist() if row["trial"] == trial][-1]
    data = as_trained(run, json.loads(row["settings"] or "{}"))
    if task is not None:
        data["task"] = task_named(task, data["task"])
    data["start"] = {"run": str(run.path.resolve()), "trial": trial, "frozen": frozen}
    data["search"] = {
        "strategy": "random",
        "trials": seeds,
        "designs": [json.loads(parent.design.to_json())],
        "presets": [],
        "preset_seeds": seeds,
        "finalists": 0,
        "seed": row["seed"] + 1,  # other batches than the parent's
    }
    if seeds == 1:
        data["engine"] = {"name": "serial"}
    kept = {o.column: o.direction for o in run.objectives if o.column.startswith(KNOWN_ANYWHERE)}
    kept = {name: way for name, way in kept.items() if not name.startswith("accuracy")}
    data.pop("objectives", None)
    if kept:  # otherwise those of every search
        data["objectives"] = {"accuracy": "max"} | dict(list(kept.items())[:3])
    return Document(data)


def task_named(task: str, before: dict[str, Any]) -> dict[str, Any]:
    """The `task` of a configuration; ConfigError, one sentence, where there is none."""
    path = Path(task).expanduser()
    if task in TASKS:
        return {task: before.get(task) or {}}
    if path.suffix == ".py" and path.is_file():
        return {"own": {"file": str(path.resolve())}}
    if path.suffix in (".yaml", ".yml") and path.is_file():
        read = load_yaml(path).data
        found = read.get("task") if isinstance(read, dict) else None
        if isinstance(found, dict):
            return found
        raise ConfigError([Problem(f"{path} has no `task`; give a configuration that has one")])
    if path.suffix in (".py", ".yaml", ".yml"):
        raise ConfigError([Problem(f"there is no file {task}; give one that exists")])
    message = (
        f"there is no task {task!r}; give {', '.join(TASKS)}, or a YAML file with a `task`, or a "
        "Python file with one of your own"
    )
    raise ConfigError([Problem(message)])

"""What one trial of a run was trained under, as a configuration to go on with."""

from __future__ import annotations

import copy
from typing import Any

from controller.config import RunConfig
from results import Run, RunError


def as_trained(run: Run, settings: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration as plain data, with what one trial was trained under in its place."""
    try:
        config = RunConfig.model_validate(run.config)
    except ValueError as error:
        raise RunError(f"the configuration in {run.path} does not suit this attnas") from error
    data = copy.deepcopy(config.to_plain())
    data["space"].pop("settings", None)
    data["training"] = config.training.model_dump(mode="json")
    data["task"] = config.task.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for path, value in settings.items():
        section: Any = data
        *above, name = path.split(".")
        for step in above:
            section = section[step]
        section[name] = value
    return data

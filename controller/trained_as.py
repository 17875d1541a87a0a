"""What one trial of a run was trained under, as a configuration to go on with."""

from __future__ import annotations

import copy
import re
from typing import Any

from controller.config import RunConfig
from results import Run, RunError
from search_space import ConfigError, Document, Problem, apply_override
from search_space.validation import or_list


def as_trained(run: Run, settings: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration as plain data, with what one trial was trained under in its place."""
    try:
        config = RunConfig.model_validate(run.config)
    except ValueError as error:
        raise RunError(f"the configuration in {run.path} does not suit this attnas") from error
    data = copy.deepcopy(config.to_plain())
    data["space"].pop("settings", None)
    data["training"] = config.training.model_dump(mode="json")
    if config.training.tokens is not None:
        del data["training"]["steps"]  # the budget takes their place
    data["task"] = config.task.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for path, value in settings.items():
        section: Any = data
        *above, name = path.split(".")
        for step in above:
            section = section[step]
        section[name] = value
    return data


# What may be set anew for a child; its design, and so the space, is the parent's.
SETTABLE = ("task", "training", "measuring", "limits", "objectives", "threads", "engine")


def with_overrides(document: Document, overrides: list[str]) -> Document:
    """The child's configuration with values of the command line; ConfigError for others."""
    for override in overrides:
        section = re.split(r"[.=\[]", override.strip(), maxsplit=1)[0]
        if section not in SETTABLE:
            message = (
                f"the design and how often it is trained come from the command here, so "
                f"`{section}` can't be set; {or_list(SETTABLE)} can"
            )
            raise ConfigError([Problem(message, f"--set {override}")])
        document = apply_override(document, override)
    return document

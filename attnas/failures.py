"""Which exceptions are a user's sentence, and with which exit code."""

from __future__ import annotations

import sys

USAGE, CONFIGURATION, SEARCH = 2, 3, 4


class UsageError(ValueError):
    """What was typed can't be done; the message is one sentence."""


def exit_code(error: Exception) -> int | None:
    """The code for a foreseen failure, None for a defect. Imports nothing that is not there."""
    if isinstance(error, UsageError):
        return USAGE
    for module, name, code in (
        ("search_space.errors", "ConfigError", CONFIGURATION),
        ("search_space.errors", "DesignError", CONFIGURATION),
        ("results.errors", "RunError", USAGE),
        ("controller.search", "SearchFailed", SEARCH),
        ("controller.engines.ray_tune", "EngineError", SEARCH),
    ):
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(error, getattr(loaded, name)):
            return code
    return SEARCH if isinstance(error, OSError) else None

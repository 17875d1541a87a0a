"""Failures: which exceptions are a user's sentence, with which exit code, and how they are said."""

from __future__ import annotations

import sys

USAGE, CONFIGURATION, SEARCH = 2, 3, 4
DOCTOR = 4  # of attnas doctor: a problem remains


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


def explain(error: Exception) -> int:
    """Say what a user's mistake was; for anything else, keep the traceback in a file."""
    code = exit_code(error)
    if code is not None:
        say(str(error))
        return code
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="attnas-", suffix=".log", delete=False) as log:
        traceback.print_exception(error, file=log)
    say(f"attnas failed ({type(error).__name__}: {error}); please report {log.name}")
    return 1


def say(message: str) -> None:
    """Each line to standard error, as an error."""
    for line in message.splitlines():
        print(f"error: {line}", file=sys.stderr)

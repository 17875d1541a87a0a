"""Failures: which exceptions are a user's sentence, with which exit code, and how they are said."""

from __future__ import annotations

import errno
import sys

USAGE, CONFIGURATION, SEARCH = 2, 3, 4
REMEDIES = {
    errno.ENOSPC: "free some space; nothing that finished is lost",
    errno.EDQUOT: "free some space; nothing that finished is lost",
    errno.EROFS: "choose a folder that can be written, or mount this one so",
    errno.EACCES: "ask for the right to it, or choose another folder",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "the machine has too many open files; close some programs",
    errno.EIO: "the disk failed; look at its health before anything else",
}
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
        say(_of_the_system(error) if isinstance(error, OSError) else str(error))
        return code
    import tempfile
    import traceback

    said = f"attnas failed ({type(error).__name__}: {error})"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="attnas-", suffix=".log", delete=False) as log:
            traceback.print_exception(error, file=log)
        say(f"{said}; please report {log.name}")
    except OSError:  # no space for it
        say(f"{said}; please report this with {''.join(traceback.format_tb(error.__traceback__))}")
    return 1


def _of_the_system(error: OSError) -> str:
    """What the system refused, with what can be done about it."""
    if type(error).__name__ == "StorageError" or error.strerror is None:
        return str(error)
    place = f": {error.filename}" if error.filename is not None else ""
    remedy = REMEDIES.get(error.errno or 0)
    return f"{error.strerror}{place}" + (f"; {remedy}" if remedy else "")


def say(message: str) -> None:
    """Each line to standard error, as an error."""
    for line in message.splitlines():
        print(f"error: {line}", file=sys.stderr)

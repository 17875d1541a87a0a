"""What can be wrong with a run's folder, in one clear sentence."""

from __future__ import annotations


class RunError(ValueError):
    """An unknown run, one of a newer format, one that is in use, or a damaged file."""

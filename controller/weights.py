"""Weights of trials in a run's folder: where they are."""

from __future__ import annotations

from pathlib import Path


def weights_path(run: Path, trial: int, attempt: int = 0) -> Path:
    """Where the trained weights of a trial are kept."""
    return run / "checkpoints" / f"trial-{trial}-{attempt}.safetensors"


def checkpoint_path(run: Path, trial: int) -> Path:
    """Where the training of a trial that is not finished is kept, for whichever attempt goes on."""
    return run / "checkpoints" / f"trial-{trial}.training.safetensors"

"""Weights of trials in a run's folder: where they are, and writing them whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


def keep_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Written beside and renamed: a worker that dies here leaves no half a file."""
    beside = path.with_suffix(f".{os.getpid()}")
    whole = {name: weight.contiguous() for name, weight in weights.items()}
    try:
        save_file(whole, beside)
        os.replace(beside, path)
    except SafetensorError as error:  # what it makes of a full disk
        raise OSError(f"the weights could not be written to {path}: {error}") from error
    finally:
        beside.unlink(missing_ok=True)


def weights_path(run: Path, trial: int, attempt: int = 0) -> Path:
    """Where the trained weights of a trial are kept."""
    return run / "checkpoints" / f"trial-{trial}-{attempt}.safetensors"


def checkpoint_path(run: Path, trial: int) -> Path:
    """Where the training of a trial that is not finished is kept, for whichever attempt goes on."""
    return run / "checkpoints" / f"trial-{trial}.training.safetensors"

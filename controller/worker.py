"""A worker's part: evaluate one trial and turn design and measurement into a row.

The only place where that happens, for every engine. Whatever goes wrong in a trial becomes a row
with its reason; the full traceback goes to the run's logs.
"""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from controller.search import Trial
from evaluator import Evaluator, Measurement
from results import TrialRow


def run_trial(trial: Trial, evaluator: Evaluator, run: Path, worker: str) -> TrialRow:
    """Train and measure; never raises for what the trial did.

    OSError if the run's storage fails: that is not the trial's fault, and no row is made.
    """
    started = time.time()
    try:
        measurement = evaluator.evaluate(trial.design, trial.seed, dict(trial.settings))
        row = row_of(trial, measurement, worker, started)
    except Exception as error:
        return failed_row(trial, error, run, worker, started)
    if measurement.weights:
        _keep_weights(measurement, weights_path(run, trial.trial, trial.attempt))
    return row


def failed_row(trial: Trial, error: Exception, run: Path, worker: str, started: float) -> TrialRow:
    """An error in code as a result, its traceback in the run's logs."""
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    log = run / "logs" / f"trial-{trial.trial}-{trial.attempt}.log"
    if log.parent.is_dir():
        log.write_text("".join(traceback.format_exception(error)))
        reason += f" (traceback in logs/{log.name})"
    return row_of(trial, Measurement("failed", reason), worker, started)


def _keep_weights(measurement: Measurement, path: Path) -> None:
    """Written beside and renamed: a worker that dies here leaves no half a file."""
    beside = path.with_suffix(f".{os.getpid()}")
    weights = {name: weight.contiguous() for name, weight in measurement.weights.items()}
    try:
        save_file(weights, beside)
        os.replace(beside, path)
    except SafetensorError as error:  # what it makes of a full disk
        raise OSError(f"the weights could not be written to {path}: {error}") from error
    finally:
        beside.unlink(missing_ok=True)


def row_of(trial: Trial, found: Measurement, worker: str, started: float) -> TrialRow:
    """Design and measurement as a row."""
    return TrialRow.from_plain(
        trial.row_fields()
        | {
            "state": found.state,
            "reason": found.reason,
            "started_at": started,
            "finished_at": time.time(),
            "worker": worker,
            "metrics": {name: float(value) for name, value in found.metrics.items()},
            "notes": found.notes,
            "curve": [[tokens, loss] for tokens, loss in found.curve],
        }
        | found.provenance
    )


def weights_path(run: Path, trial: int, attempt: int = 0) -> Path:
    """Where the trained weights of a trial are kept."""
    return run / "checkpoints" / f"trial-{trial}-{attempt}.safetensors"

"""A worker's part: evaluate one trial and turn design and measurement into a row.

The only place where that happens, for every engine. Whatever goes wrong in a trial becomes a row
with its reason; the full traceback goes to the run's logs.
"""

from __future__ import annotations

import time
import traceback
from pathlib import Path

from controller.search import Trial
from controller.weights import checkpoint_path, weights_path
from evaluator import Evaluator, Measurement
from evaluator.checkpoint import StorageError, save_whole
from results import TrialRow


def measurements_folder(run: Path) -> Path:
    """Where a run's workers keep what they measured, so that no design is measured twice."""
    return run / "measurements"


def run_trial(trial: Trial, evaluator: Evaluator, run: Path, worker: str) -> TrialRow:
    """Train and measure; never raises for what the trial did.

    OSError if the run's storage fails: that is not the trial's fault, and no row is made.
    """
    started, so_far = time.time(), checkpoint_path(run, trial.trial)
    try:
        settings = dict(trial.settings)
        thorough = trial.origin == "finalist"
        measurement = evaluator.evaluate(
            trial.design, trial.seed, settings, so_far, thorough=thorough
        )
        row = row_of(trial, measurement, worker, started)
    except StorageError:
        raise
    except Exception as error:
        so_far.unlink(missing_ok=True)
        return failed_row(trial, error, run, worker, started)
    if measurement.weights:
        save_whole(measurement.weights, weights_path(run, trial.trial, trial.attempt))
    so_far.unlink(missing_ok=True)
    return row


def failed_row(trial: Trial, error: Exception, run: Path, worker: str, started: float) -> TrialRow:
    """An error in code as a result, its traceback in the run's logs."""
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    log = run / "logs" / f"trial-{trial.trial}-{trial.attempt}.log"
    if log.parent.is_dir():
        log.write_text("".join(traceback.format_exception(error)))
        reason += f" (traceback in logs/{log.name})"
    return row_of(trial, Measurement("failed", reason), worker, started)


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
            "gradients": found.gradients,
            "held_out": found.held_out,
        }
        | found.provenance
    )

"""A worker's part: evaluate one trial and turn design and measurement into a row.

The only place where that happens, for every engine. Whatever goes wrong in a trial becomes a row
with its reason; the full traceback goes to the run's logs.
"""

from __future__ import annotations

import time
import traceback
from pathlib import Path

from safetensors.torch import save_file

from controller.search import Trial
from evaluator import Evaluator, Measurement
from results import TrialRow


def run_trial(trial: Trial, evaluator: Evaluator, run: Path, worker: str) -> TrialRow:
    """Train and measure; never raises for what the trial did."""
    started = time.time()
    try:
        measurement = evaluator.evaluate(trial.design, trial.seed)
        if measurement.weights:
            save_file(
                {name: weight.contiguous() for name, weight in measurement.weights.items()},
                weights_path(run, trial.trial, trial.attempt),
            )
        return row_of(trial, measurement, worker, started)
    except Exception as error:
        log = run / "logs" / f"trial-{trial.trial}-{trial.attempt}.log"
        log.write_text(traceback.format_exc())
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        failed = Measurement("failed", f"{reason} (traceback in logs/{log.name})")
    return row_of(trial, failed, worker, started)


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

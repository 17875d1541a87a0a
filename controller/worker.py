"""A worker's part: evaluate one trial and turn design and measurement into a row.

The only place where that happens, for every engine. Whatever goes wrong in a trial becomes a row
with its reason; the full traceback goes to the run's logs.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from controller.trial import Trial
from controller.weights import checkpoint_path, weights_path
from evaluator import Evaluator, Measurement
from evaluator.checkpoint import StorageError, save_whole
from results import TrialRow


def measurements_folder(run: Path) -> Path:
    """Where a run's workers keep what they measured, so that no design is measured twice."""
    return run / "measurements"


def run_trial(trial: Trial, evaluator: Evaluator, run: Path, worker: str) -> TrialRow:
    """Measure and train to the end; otherwise as `stages_of`."""
    *_, row = stages_of(trial, evaluator, run, worker)
    return row


def stages_of(
    trial: Trial, evaluator: Evaluator, run: Path, worker: str, rungs: Sequence[float] = (1.0,)
) -> Iterator[TrialRow]:
    """Measure and train; a row at each rung that is to be reached, until one ends the trial.

    Below the last rung rows are `pruned` until the search says otherwise, and the checkpoint stays
    for whoever goes on. Never raises for what the trial did. OSError if the run's storage fails:
    that is not the trial's fault, and no row is made.
    """
    started, so_far = time.time(), checkpoint_path(run, trial.trial)
    measurements = evaluator.stages(
        trial.design,
        trial.seed,
        dict(trial.settings),
        so_far,
        thorough=trial.origin == "finalist",
        rungs=rungs[trial.rung :],
    )
    for rung in range(trial.rung, len(rungs)):
        here = replace(trial, rung=rung)
        try:
            measurement = next(measurements)
            row = row_of(here, measurement, worker, started)
        except StorageError:
            raise
        except Exception as error:
            so_far.unlink(missing_ok=True)
            yield failed_row(here, error, run, worker, started)
            return
        if measurement.state != "paused":
            if measurement.weights:
                save_whole(measurement.weights, weights_path(run, trial.trial, trial.attempt))
            so_far.unlink(missing_ok=True)
            yield row
            return
        yield row


def remove_checkpoints(run: Path) -> None:
    """Those of trials that were stopped at a rung, once nothing will go on from them."""
    for file in checkpoint_path(run, 0).parent.glob("trial-*.training.safetensors"):
        file.unlink(missing_ok=True)


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
            "state": "pruned" if found.state == "paused" else found.state,
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

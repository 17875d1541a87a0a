"""A worker's part: evaluate one trial and turn design and measurement into a row.

Whatever goes wrong in a trial becomes a row with its reason; the full traceback goes to the run's
logs.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from controller.exits import ending_of, fault_of_the_machine
from controller.trial import Trial
from controller.trial_row import Start, cut, row_of
from controller.weights import checkpoint_path, weights_path
from controller.worker_log import LARGEST_LOG, log_path
from evaluator import Evaluator, Measurement
from evaluator.checkpoint import StorageError, save_whole
from evaluator.spans import Spans
from results import TrialRow


def measurements_folder(run: Path) -> Path:
    """Where a run's workers keep what they measured, so that no design is measured twice."""
    return run / "measurements"


def run_trial(trial: Trial, evaluator: Evaluator, run: Path, worker: str) -> TrialRow:
    """Measure and train to the end; otherwise as `stages_of`."""
    *_, row = stages_of(trial, evaluator, run, worker)
    return row


def stages_of(
    trial: Trial,
    evaluator: Evaluator,
    run: Path,
    worker: str,
    rungs: Sequence[float] = (1.0,),
    spans: Spans | None = None,
) -> Iterator[TrialRow]:
    """Measure and train; a row at each rung that is to be reached, until one ends the trial.

    Below the last rung rows are `pruned` until the search says otherwise, and the checkpoint stays
    for whoever goes on. Never raises for what the trial did. OSError if the run's storage fails:
    that is not the trial's fault, and no row is made. `spans` hears what is done when.
    """
    start, so_far = Start(), checkpoint_path(run, trial.trial)
    spans = spans or Spans()
    measurements = evaluator.stages(
        trial.design,
        trial.seed,
        dict(trial.settings),
        so_far,
        thorough=trial.origin == "finalist",
        rungs=rungs[trial.rung :],
        spans=spans,
    )
    for rung in range(trial.rung, len(rungs)):
        here = replace(trial, rung=rung)
        try:
            measurement = next(measurements)
            row = row_of(here, measurement, worker, start, spans)
        except StorageError:
            raise
        except (Exception, SystemExit) as error:
            if fault_of_the_machine(error) is None:
                so_far.unlink(missing_ok=True)
            yield failed_row(here, error, run, worker, start, spans)
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


def failed_row(
    trial: Trial,
    error: BaseException,
    run: Path,
    worker: str,
    start: Start | None = None,
    spans: Spans | None = None,
) -> TrialRow:
    """An error as a result, its traceback in the run's logs; `lost` if the machine is to blame."""
    machine = fault_of_the_machine(error)
    reason = machine or _in_a_line(error)
    log = log_path(run, trial)
    if log.parent.is_dir():
        with suppress(OSError), open(log, "ab") as file:  # this may be what fails
            said = "".join(traceback.format_exception(error)).encode(errors="replace")
            file.write(said if len(said) <= LARGEST_LOG else said[-LARGEST_LOG:])
            reason += f" (traceback in logs/{log.name})"
    found = Measurement("failed" if machine is None else "lost", reason)
    return row_of(trial, found, worker, start or Start(), spans)


def _in_a_line(error: BaseException) -> str:
    """The kind and first line of an error, of which the rest may be megabytes."""
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return ending_of(code & 0xFF).reason
    said = str(error).strip().partition("\n")[0]
    return cut(f"{type(error).__name__}: {said}" if said else type(error).__name__, 400)

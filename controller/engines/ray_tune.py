"""The Ray Tune engine: Tune starts trials and notices dead workers; everything else is ours.

A Searcher around the search's `next_trial`, a scheduler around its `report`, and a class trainable
with reused actors around the worker, of which each step goes to the next rung. A trial that goes on
after it was stopped is another trial to Tune, which takes up none again. Tune keeps nothing: the
row that ends a trial is in the run's inbox before the worker reports it. All nodes must see the
run's folder under the same path. This is the only file that imports Ray; call
`ray_environment.prepare` before importing it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from controller.candidates import settings_of
from controller.config import RunConfig
from controller.parents import start_of
from controller.search import Search, SearchFailed
from controller.trial import Trial
from controller.worker import failed_row, measurements_folder, stages_of
from evaluator import Evaluator, Task
from results import TrialRow, write_result
from search_space import Design


class EngineError(RuntimeError):
    """Ray did not start or stopped; one sentence."""


def run_ray(
    search: Search,
    config: RunConfig,
    data: dict[str, Any],
    reference: Design,
    run: Path,
    address: str | None,
) -> None:
    """Run until the search is done. Ray must have been started by `start_ray`."""
    scratch = tempfile.mkdtemp(prefix="attnas-tune-")
    workers = config.workers if address is None else config.engine.workers
    searcher = _SearchAsSearcher(search, workers)
    trainable = tune.with_parameters(
        _TrialAsTrainable,
        setup_json={
            "config": config.to_plain(),
            "reference": reference.to_json(),
            "run": str(run.resolve()),
            "rungs": search.rungs,
        },
        data=data,
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": config.threads}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=_ReportAsScheduler(searcher),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="run", storage_path=scratch, verbose=0, failure_config=tune.FailureConfig(0)
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if searcher.stopped_by is not None:
        raise searcher.stopped_by


class _SearchAsSearcher(Searcher):
    """Tune's view of the search: suggest is next_trial, a completed trial is finish.

    `report` is for the scheduler. A trial that it stopped completes as well, with the row that was
    reported already.
    """

    def __init__(self, search: Search, workers: int | None) -> None:
        super().__init__(metric="trial", mode="max")
        self._search = search
        self._workers = workers  # at once; as many as the cluster takes if None
        self._out: dict[str, Trial] = {}
        self.stopped_by: Exception | None = None

    def suggest(self, trial_id: str) -> Any:  # the base class forgets FINISHED in its type
        if self._search.done or self.stopped_by is not None:
            return Searcher.FINISHED
        if self._workers is not None and len(self._out) >= self._workers:
            return None
        trial = self._guarded(self._search.next_trial)
        if trial is None:
            return Searcher.FINISHED if self._search.done else None
        self._out[trial_id] = trial
        return trial.row_fields()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        trial = self._out.pop(trial_id)
        text = (result or {}).get("row")
        row = None if error or not isinstance(text, str) else TrialRow.from_json(text)
        if row is None:
            self._guarded(lambda: self._search.lost(trial, "the worker died", trial_id))
        elif row.state != "pruned":
            self._guarded(lambda: self._search.finish(row))
            self._guarded(self._search.collect)  # removes the file; others may have left theirs

    def report(self, row: TrialRow) -> bool:
        """Whether a trial that reached a rung goes on; not if that can't be stored."""
        return bool(self._guarded(lambda: self._search.report(row)))

    def _guarded(self, act: Any) -> Any:
        """An error of the store or too many of trials ends the search after what runs."""
        try:
            return act()
        except (SearchFailed, OSError, ValueError) as error:
            self.stopped_by = self.stopped_by or error
            self._search.draining = True
            return None

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the run's log is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the run's log is the state."""


class _ReportAsScheduler(FIFOScheduler):
    """Tune's view of rungs: a result that does not end its trial was reported at one."""

    def __init__(self, searcher: _SearchAsSearcher) -> None:
        super().__init__()
        self._searcher = searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        goes_on = self._searcher.report(TrialRow.from_json(result["row"]))
        return self.CONTINUE if goes_on else self.STOP


class _TrialAsTrainable(tune.Trainable):
    """One worker process; each step is the way to the next rung of whatever trial it was given."""

    def setup(self, config: dict[str, Any], setup_json: Any = None, data: Any = None) -> None:
        self._run = Path(setup_json["run"])
        self._setup_json, self._data = setup_json, data
        self._evaluator: Evaluator | None = None
        self._rows: Iterator[TrialRow] | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.config, self._rows = new_config, None
        return True

    def step(self) -> dict[str, Any]:
        if self._rows is None:
            self._rows = self._stages()
        row = next(self._rows)
        return {"trial": row.trial, "row": row.to_json(), "done": row.state != "pruned"}

    def _stages(self) -> Iterator[TrialRow]:
        """The rows of the trial; the one that ends it is in the inbox before Tune hears of it.

        Others are not: a driver that starts anew has the worker's checkpoint, and decides itself.
        """
        c = self.config
        design = Design.from_json(c["design"])
        settings = settings_of(c["settings"])
        ids = (c["trial"], c["attempt"], c["seed"])
        trial = Trial(*ids, design, c["origin"], settings, c["rung"])
        worker, started = f"{os.uname().nodename}:{os.getpid()}", time.time()
        try:
            evaluator = self._prepared()
        except Exception as error:  # not in setup: Tune would call it a dead worker
            yield failed_row(trial, error, self._run, worker, started)
            return
        rungs = self._setup_json["rungs"]
        for row in stages_of(trial, evaluator, self._run, worker, rungs):
            if row.state != "pruned":
                write_result(self._run, row)
            yield row

    def _prepared(self) -> Evaluator:
        """The evaluator, made once per worker."""
        if not self._run.is_dir():
            raise FileNotFoundError(
                f"{os.uname().nodename} does not see {self._run}; a run's folder must be shared "
                f"by all nodes"
            )
        if self._evaluator is None:
            config = RunConfig.model_validate(self._setup_json["config"])
            data = {
                part: {name: np.asarray(array) for name, array in arrays.items()}
                for part, arrays in self._data.items()
            }
            self._evaluator = Evaluator(
                config.evaluation,
                Task.of(config.task, data),
                Design.from_json(self._setup_json["reference"]),
                start_of(config.start, config.task),
                kept=measurements_folder(self._run),
            )
        return self._evaluator

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the run's log is the state."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the run's log is the state."""


def start_ray(workers: int, threads: int, address: str | None) -> None:
    """Connect to a cluster, or start a local one that strangers can't use."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {"num_cpus": workers * threads, "include_dashboard": False}
    for attempt in (1, 2):  # a loaded machine misses Ray's own 30 s limit now and then
        try:
            ray.init(address=address or "local", **options)  # never one that happens to run here
            return
        except Exception as error:
            ray.shutdown()
            if attempt == 2:
                reason = str(error).strip().splitlines()[0]
                raise EngineError(
                    f"Ray did not start ({reason}); try again, or run here with --engine serial"
                ) from error
            time.sleep(2)


def stop_ray() -> None:
    """End the local cluster, or leave the remote one."""
    ray.shutdown()

"""The Ray Tune engine: Tune starts trials and notices dead workers; everything else is ours.

A Searcher around the search's `next_trial`, a scheduler around its `report`, and a class trainable
with reused actors around a supervisor, of which each step goes to the next rung. A trial that goes
on after it was stopped is another trial to Tune, which takes up none again. Tune keeps nothing: the
row that ends a trial is in the run's inbox before the worker reports it. All nodes must see the
run's folder under the same path. Only this file and `ray_worker` import Ray; call
`ray_environment.prepare` before importing it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from controller.config import RunConfig
from controller.engines.cluster_guard import ClusterGuard
from controller.engines.ray_worker import TrialAsTrainable
from controller.search import Search, SearchFailed
from controller.supervisor import setup_of
from controller.time_limit import LongestTrial
from controller.trial import Trial
from controller.trial_row import cut
from results import TrialRow
from search_space import Design

ANSWERS_S = 10.0  # for a cluster to take a connection


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
    searcher = _SearchAsSearcher(search, workers, LongestTrial(run, search.rows).note)
    trainable = tune.with_parameters(
        TrialAsTrainable,
        setup=setup_of(config.to_plain(), run, reference.to_json(), search.rungs, config.workers),
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

    def __init__(
        self,
        search: Search,
        workers: int | None,
        note: Callable[[TrialRow], object] = lambda _: None,
    ) -> None:
        """`note` is told of every row that a worker gives."""
        super().__init__(metric="trial", mode="max")
        self._search, self._note = search, note
        self._workers = workers  # at once; as many as the cluster takes if None
        self._out: dict[str, Trial] = {}
        self.died_of: dict[str, str] = {}  # by Tune's name of a trial
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
        trial, reason = self._out.pop(trial_id), self.died_of.pop(trial_id, "the worker died")
        text = (result or {}).get("row")
        row = None if error or not isinstance(text, str) else TrialRow.from_json(text)
        if row is None:
            self._guarded(lambda: self._search.lost(trial, reason, trial_id))
        elif row.state != "pruned":
            self._note(row)
            self._guarded(lambda: self._search.finish(row))
            self._guarded(self._search.collect)  # removes the file; others may have left theirs

    def report(self, row: TrialRow) -> bool:
        """Whether a trial that reached a rung goes on; not if that can't be stored."""
        self._note(row)
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

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Before the searcher hears of it, which is not told why."""
        with suppress(OSError, TypeError):  # Tune keeps the error in a file, if it can
            said = Path(trial.error_file).read_text(errors="replace")
            self._searcher.died_of[trial.trial_id] = cause_of_death(said)
        super().on_trial_error(tune_controller, trial)


# What Ray says of a dead actor, in its own words, and in ours.
CAUSES = (
    ("low on memory", "Ray killed the worker, since its machine ran out of memory"),
    ("outofmemoryerror", "Ray killed the worker, since its machine ran out of memory"),
    ("node has died", "the worker's machine died or left the cluster"),
    ("node was terminated", "the worker's machine died or left the cluster"),
    ("is unavailable", "the worker died or can't be reached any more"),
)


def cause_of_death(said: str) -> str:
    """Why a worker died, as far as Ray's error shows it."""
    said = said.lower()
    return next((ours for theirs, ours in CAUSES if theirs in said), "the worker died")


_guards: list[ClusterGuard] = []  # of the local cluster, if there is one


def start_ray(workers: int, threads: int, address: str | None) -> None:
    """Connect to a cluster, or start a local one that strangers can't use."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {"num_cpus": workers * threads, "include_dashboard": False}
    else:
        _check_answers(address)
    for attempt in (1, 2):  # a loaded machine misses Ray's own 30 s limit now and then
        try:
            ray.init(address=address or "local", **options)  # never one that happens to run here
            break
        except Exception as error:
            ray.shutdown()
            if attempt == 2:
                reason = cut((str(error).strip() or type(error).__name__).splitlines()[0])
                raise EngineError(
                    f"Ray did not start ({reason}); try again, or run here with --engine serial"
                ) from error
            time.sleep(2)
    if address is None:
        _guard()


def _guard() -> None:
    """A cluster that would outlive a killed driver is none to begin with."""
    try:
        _guards.append(ClusterGuard())
    except (OSError, subprocess.CalledProcessError) as error:
        ray.shutdown()
        code = getattr(error, "returncode", None)
        reason = cut(str(error)) if code is None else f"it ended with code {code}"
        raise EngineError(
            f"the process that would end Ray after a killed search did not start ({reason}); try "
            "again, or run here with --engine serial"
        ) from error


def _check_answers(address: str) -> None:
    """Ray itself takes minutes to find out that nobody is there."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if not host or not port.isdecimal():
        return  # `auto`, or for Ray to refuse
    try:
        socket.create_connection((host, int(port)), ANSWERS_S).close()
    except (OSError, OverflowError) as error:
        raise EngineError(
            f"no Ray cluster answers at {address} ({error}); start one with `ray start --head`, "
            "or leave --address out to run on this machine"
        ) from error


def stop_ray() -> None:
    """End the local cluster, or leave the remote one."""
    ray.shutdown()
    while _guards:
        _guards.pop().close()

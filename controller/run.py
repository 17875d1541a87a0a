"""Run: a search from a configuration to its folder, started or resumed, stopped without loss."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from controller import doing
from controller.beating import beating
from controller.config import RunConfig
from controller.engines import ray_environment
from controller.engines.serial import run_serial
from controller.known import candidates_of
from controller.mirroring import check_free, mirroring
from controller.parents import VOCABULARY, start_of
from controller.search import Search
from controller.steady_clock import steady_time
from controller.waiting_log import Pause, WaitingLog
from controller.warm_start import WarmStart, kept_warm_start, warm_start
from controller.worker import measurements_folder, remove_checkpoints
from evaluator import Evaluator, Task
from evaluator.machine_state import machine_state
from evaluator.tasks.mix import read_data
from results import RunError, RunWriter, read_heartbeat
from results.files import write_atomic
from results.folder import read_description
from search_space import ConfigError, Design, Problem, Space


@dataclass(slots=True)
class Session:
    """One driver's time with a run: what a progress display needs to know."""

    path: Path
    config: RunConfig
    search: Search
    pause: Pause = field(default_factory=Pause)
    started_at: float = field(default_factory=steady_time)
    before_s: float = 0.0  # time spent by earlier drivers of the run
    phase: str = "starting workers"

    @property
    def done_trials(self) -> int:
        """Trials with a result that stands."""
        return self.search.done_trials()

    @property
    def out_of_time(self) -> bool:
        """Whether the time budget, not the number of trials, ended the session."""
        search = self.search
        late = search.deadline is not None and steady_time() > search.deadline
        return late and not search.complete

    def status(self) -> dict[str, Any]:
        """The heartbeat's content."""
        return {
            "state": f"paused: {self.pause.reason}" if self.pause.reason else self.phase,
            "trials_done": self.done_trials,
            "trials_budget": self.config.search.trials,
            "running": doing.running_status(self.path, list(self.search.running.values())),
            "started_at": self.started_at,
            "elapsed_s": self.before_s + steady_time() - self.started_at,
            "deadline": self.search.deadline,
            "workers": self.config.workers,
        }


Watch = Callable[[Session], Any]  # a context manager that shows the session's progress


def start(
    config: RunConfig,
    config_text: str,
    path: Path,
    watch: Watch,
    address: str | None,
    say: Callable[[str], object] = lambda _: None,
) -> Session:
    """A new run in `path`; returns when it is finished, drained or out of budget.

    What becomes of each earlier run that it starts from goes to `say`, and of pushes to a store.
    """
    check_workers(config, address)
    data = read_task(config)
    Space.from_config(config.space).sample(np.random.default_rng(0))  # says so if nothing is legal
    task = Task.of(config.task, data)
    start_of(config.start, config.task)  # says so if there is no such parent
    check_free(path, config.storage)
    warm = warm_start(config, task.fingerprint)
    for sentence in warm.said:
        say(sentence)
    sizes = {"vocabulary": task.vocabulary, "channels": task.channels}
    writer = RunWriter.create(
        path,
        config=config.to_plain(),
        config_text=config_text,
        objectives=dict(config.objectives),
        provenance=provenance() | {"data": task.fingerprint} | sizes,
        name=path.name,
    )
    with mirroring(path, config.storage, say), writer:  # what closing folds is pushed as well
        write_atomic(path / VOCABULARY, json.dumps(task.spelled()).encode())
        if config.search.warm_start:
            warm.write(path)
        return _drive(writer, config, data, watch, address, before_s=0.0, warm=warm)


def resume(
    path: Path, watch: Watch, address: str | None, say: Callable[[str], object] = lambda _: None
) -> Session:
    """Go on with a run: its finished trials are told again, interrupted ones run again.

    What was wrong with its files and mended goes to `say`, and what becomes of pushes to a store.
    """
    described = read_description(path)
    made_by = described["provenance"]
    if "pruning" in made_by:
        raise RunError(
            f"{path} is a chain of prunings, not a search to go on with; start another with "
            "attnas prune"
        )
    try:
        config = RunConfig.model_validate(_with_strategy(described["config"]))
    except ValueError as error:
        raise RunError(
            f"the configuration in {path} does not suit this attnas; resume it with the version "
            f"that wrote it ({made_by.get('versions', {}).get('attnas', 'unknown')})"
        ) from error
    check_workers(config, address)
    data = read_task(config)
    fingerprint = Task.of(config.task, data).fingerprint
    if made_by.get("data", fingerprint) != fingerprint:
        raise RunError(
            f"the task's data changed since {path} started, so its trials would not compare; "
            f"restore the data, or start a new search"
        )
    spent = read_heartbeat(path).elapsed_s or 0.0
    warm = kept_warm_start(path) if config.search.warm_start else WarmStart()
    writer = RunWriter.open(path)
    with mirroring(path, config.storage, say), writer:
        for sentence in writer.remarks:
            say(sentence)
        return _drive(writer, config, data, watch, address, before_s=spent, warm=warm)


def _with_strategy(config: dict[str, Any]) -> dict[str, Any]:
    """Runs that do not say theirs began when `evolution` was the default."""
    return config | {"search": {"strategy": "evolution"} | config.get("search", {})}


def provenance() -> dict[str, Any]:
    """Versions and machine, to be kept beside the rows."""
    packages = ("attnas", "torch", "ray", "numpy", "pandas", "pyarrow", "moocore")
    return {
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": machine_state("cpu").get("processor"),
        "system": platform.system(),
        "cores": len(os.sched_getaffinity(0)),
        "arguments": sys.argv[1:],
    }


def _drive(
    writer: RunWriter,
    config: RunConfig,
    data: dict[str, Any],
    watch: Watch,
    address: str | None,
    before_s: float,
    warm: WarmStart,
) -> Session:
    """Build the search from the log and let an engine run it under heartbeat and signals."""
    space = Space.from_config(config.space)
    reference = space.presets()["mha"]
    minutes = config.search.minutes
    task = Task.of(config.task, data)
    if config.engine.name == "ray":
        ray_environment.prepare(address)  # a strategy may import Ray, which reads it then
    pause = Pause()
    search = Search.of(
        config, WaitingLog(writer, pause, writer.path), candidates_of(config, task), warm
    )
    search.deadline = None if minutes is None else steady_time() + 60 * minutes
    session = Session(writer.path, config, search, pause, before_s=before_s)
    with beating(writer, session), watch(session):
        if config.engine.name == "serial":
            begin = start_of(config.start, config.task)
            kept = measurements_folder(writer.path)
            evaluator = Evaluator(config.evaluation, task, reference, begin, kept=kept)
            with _draining_on_interrupt(session):
                session.phase = "searching"
                run_serial(search, evaluator, writer.path)
        elif not search.done:
            _drive_ray(session, data, reference, address)
        doing.remove(writer.path)
        if search.complete:
            remove_checkpoints(writer.path)
        session.phase = "stopped" if search.draining or session.out_of_time else "finished"
    return session


def _drive_ray(
    session: Session, data: dict[str, Any], reference: Design, address: str | None
) -> None:
    from controller.engines import ray_tune  # takes seconds, and reads the environment

    config = session.config
    ray_tune.start_ray(config.workers, config.threads, address)
    try:
        with _draining_on_interrupt(session):  # after Ray, which installs handlers of its own
            session.phase = "searching"
            ray_tune.run_ray(session.search, config, data, reference, session.path, address)
    finally:
        ray_tune.stop_ray()


def check_workers(config: RunConfig, address: str | None) -> None:
    """Refuse what would make every latency a measurement of the queue for the cores."""
    if config.engine.name == "serial" and address is not None:
        raise RunError(f"the serial engine runs here; leave out --engine serial or {address}")
    cores, wanted = len(os.sched_getaffinity(0)), config.workers * config.threads
    if address is None and config.engine.name == "ray" and wanted > cores:
        raise RunError(
            f"{config.workers} workers of {config.threads} threads need {wanted} cores, but this "
            f"machine has {cores}; lower engine.workers or threads, or give a cluster's --address"
        )


def read_task(config: RunConfig) -> dict[str, Any]:
    """The task's data, before anything is written; a sentence if there is none."""
    try:
        data = dict(read_data(config.task))
        task = Task.of(config.task, data)
        budget, per_step = config.training.tokens, task.tokens_per_step()
        if budget is not None and budget < per_step:
            raise ValueError(
                f"a budget of {budget} training tokens is less than one step of {per_step}; raise "
                "`training.tokens` or lower the batch"
            )
        for fold in range(config.training.folds):
            task.fold(fold, config.training.folds)  # says so if items are too few
        return data
    except (ValueError, OSError) as error:
        raise ConfigError([Problem(f"task: {error}")]) from error


@contextmanager
def _draining_on_interrupt(session: Session) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM drains, the second exits; neither loses a row."""

    def handle(number: int, frame: FrameType | None) -> None:
        if session.search.draining:
            raise KeyboardInterrupt
        session.search.draining = session.pause.given_up = True
        session.phase = "draining"

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

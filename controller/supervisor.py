"""Supervisor: gives trials to a process of their own, and ends each that takes too much.

A trial can hang in native code, crash, fill the memory or be killed; a thread beside it would hang
or die with it. So a process trains, and this object watches it from outside: it imports no torch,
and its answer is a row, whatever happens. What a bad trial ran in is never used again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controller.doing import Shown
from controller.exits import Ending, ending_of, fault_of_the_machine, oom_kills
from controller.time_limit import TimeLimit, limit_of, spelled
from controller.trial import Trial
from controller.trial_row import Start, row_of
from controller.weights import checkpoint_path
from controller.worker_log import WorkerLog, log_path
from controller.worker_process import LONGEST_ANSWER, Arrays, WorkerProcess
from evaluator.measurement import Measurement
from evaluator.spans import Spans
from results import RunError, TrialRow, write_result

TRAINER = "controller.worker_main"
LOOK_S = 0.5  # between looks at time and memory; an end or an answer is noticed at once
LONGEST_START_S = 600.0  # imports and data; a loaded machine takes half a minute
SHOWN_S = 0.5  # between reports of what a trial does
GIB = 2**30


@dataclass(slots=True)
class Watch:
    """Seconds that a trial has used; waiting for others to measure is none of its own."""

    _used: float = 0.0
    _since: float | None = None

    @property
    def seconds(self) -> float:
        """Up to now."""
        return self._used + (0.0 if self._since is None else time.monotonic() - self._since)

    def run(self, runs: bool) -> None:
        """Go on, or stop."""
        self._used = self.seconds
        self._since = time.monotonic() if runs else None


@dataclass(slots=True)
class _Running:
    """What is known of the trial on its way."""

    trial: Trial
    log: WorkerLog
    kills: int  # by the kernel for memory, before
    start: Start
    spans: Spans  # as told, for a row that the process cannot make any more
    shown: Shown
    watch: Watch = field(default_factory=Watch)
    limit: TimeLimit | None = None


class Supervisor:
    """One worker: at most one process at a time, started early and replaced after a bad trial."""

    def __init__(self, run: Path, setup: Mapping[str, Any], arrays: Arrays, worker: str) -> None:
        """`setup` is `setup_of` a configuration; the process starts now, if it can."""
        self._run, self._setup, self._arrays, self._worker = run, setup, arrays, worker
        self._minutes: float | None = setup["minutes"]
        self._process: WorkerProcess | None = None
        self._ready, self._memory = False, None
        self._retire()

    def rows(self, trial: Trial) -> Generator[TrialRow]:
        """The rows of a trial, as `stages_of` gives them; closing it stops the trial at its rung.

        The one that ends it is in the inbox before it is given. Others are not: a driver that
        starts anew has the checkpoint, and decides itself.
        """
        start = Start()
        try:
            process = self._live()
        except OSError as error:
            reason = f"{fault_of_the_machine(error) or error} (the trial's process did not start)"
            yield self._kept(row_of(trial, Measurement("lost", reason), self._worker, start))
            return
        order = {"trial": trial.row_fields(), "worker": self._worker, "at": start.steady}
        process.order(order)
        shown = Shown(self._run, trial, self._worker, SHOWN_S)
        shown.tell("starting")
        spans, log = Spans(began=start.steady), WorkerLog(log_path(self._run, trial))
        running = _Running(trial, log, oom_kills(), start, spans, shown)
        running.watch.run(self._ready)
        while (row := self._next(running)).state == "pruned":
            goes_on = False
            try:
                yield row
                goes_on = True
            finally:
                process.order({"go": goes_on})  # if it died meanwhile, its answers will say so
                if not goes_on:
                    running.log.close()
                    shown.end()
            running.trial = replace(running.trial, rung=running.trial.rung + 1)
            running.watch.run(True)
        running.log.close()
        shown.end()
        if not _harmless(row):
            self._retire()
        yield self._kept(row)

    def close(self) -> None:
        """End the process and everything that it started."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _kept(self, row: TrialRow) -> TrialRow:
        with suppress(OSError):  # then it travels with the engine alone
            write_result(self._run, row)
        return row

    def _start(self) -> None:
        self._ready, self._memory = False, None
        self._process = WorkerProcess(self._setup, self._arrays, TRAINER)

    def _retire(self) -> None:
        """The next one starts while the engine stores the row and asks for another trial."""
        self.close()
        with suppress(OSError):  # tried again for the next trial, which then says why not
            self._start()

    def _live(self) -> WorkerProcess:
        """The process; a fresh one if there is none, or it ended while it had nothing to do."""
        if self._process is None or not self._process.alive:
            self.close()
            self._start()
        assert self._process is not None
        return self._process

    def _next(self, running: _Running) -> TrialRow:
        """The next row, made here if the process can't."""
        assert self._process is not None
        process = self._process
        while True:
            try:
                for answer in process.answers(running.log, LOOK_S):
                    if row := self._taken(answer, running):
                        running.watch.run(False)
                        return row
                if process.ended:
                    return self._ended(running, self._how_it_ended(process, running))
            except (ValueError, KeyError, TypeError, RunError) as error:
                ending = Ending("failed", f"the trial's process gave no legal answer: {error}")
                return self._ended(running, ending)
            if ending := self._took_too_much(process, running):
                return self._ended(running, ending)
            running.shown.show()

    def _taken(self, answer: Mapping[str, Any], running: _Running) -> TrialRow | None:
        if "ready" in answer:
            self._ready, self._memory = True, answer["ready"]
            running.watch.run(True)
        elif "waits" in answer:
            running.watch.run(not answer["waits"])
        elif "doing" in answer:
            if answer["share"] is None:
                running.spans.switch(answer["doing"])
            running.shown.tell(answer["doing"], answer["share"])
        elif "row" in answer:
            return TrialRow.from_json(answer["row"])
        return None

    def _took_too_much(self, process: WorkerProcess, running: _Running) -> Ending | None:
        """Why the trial is to be ended now, if it is."""
        used = running.watch.seconds
        if not self._ready:
            if running.start.now - running.start.at > LONGEST_START_S:
                reason = f"the trial's process did not start within {spelled(LONGEST_START_S)}"
                return Ending("failed", reason)
            return None
        running.limit = limit_of(self._run, self._minutes)
        if running.limit is not None and used > running.limit.seconds:
            return Ending("failed", running.limit.reason)
        if self._memory is not None and (held := process.private_bytes()) > self._memory:
            source = "engine.trial_gigabytes"
            if self._setup["gigabytes"] is None:
                source = f"its share of this machine's memory; {source} sets another"
            limit = f"{self._memory / GIB:.3g} GiB ({source})"
            reason = f"out of memory: it held {held / GIB:.3g} GiB, above its limit of {limit}"
            return Ending("infeasible", reason)
        return None

    def _how_it_ended(self, process: WorkerProcess, running: _Running) -> Ending:
        if process.too_long:
            reason = f"its result was longer than {LONGEST_ANSWER / 2**20:g} MiB"
            return Ending("failed", reason)
        code = process.exit_code(running.log)
        if code is None:
            return Ending("failed", "the trial closed the pipe that its process answers through")
        killed = oom_kills() > running.kills
        ending = ending_of(code, out_of_memory=killed, said=running.log.tail)
        if not self._ready and ending.state == "failed":
            said = running.log.tail.decode(errors="replace").strip().splitlines()
            last = f": {said[-1]}" if said else ""
            return Ending("failed", f"the trial's process did not start{last}")
        return ending

    def _ended(self, running: _Running, ending: Ending) -> TrialRow:
        """The row of a trial whose process is of no use any more."""
        trial, log = running.trial, running.log
        self.close()
        log.close()
        if ending.state != "lost":  # another attempt would go on from there
            with suppress(OSError):
                checkpoint_path(self._run, trial.trial).unlink(missing_ok=True)
        logged = f" (its output is in logs/{log.path.name})" if log.exists else ""
        found = Measurement(ending.state, ending.reason + logged)
        return row_of(trial, found, self._worker, running.start, running.spans)


def _harmless(row: TrialRow) -> bool:
    """Whether its process may be used again: what failed may have left anything behind."""
    full = (row.reason or "").startswith("out of memory")
    return row.state in ("complete", "diverged") or (row.state == "infeasible" and not full)


def setup_of(
    config: Mapping[str, Any], run: Path, reference: str, rungs: tuple[float, ...], workers: int
) -> dict[str, Any]:
    """What a worker's process has to know of a run, as JSON; the configuration as plain data."""
    engine = config.get("engine", {})
    return {
        "config": config,
        "reference": reference,
        "run": str(run.resolve()),
        "rungs": list(rungs),
        "workers": workers,
        "threads": config.get("threads", 1),
        "minutes": engine.get("trial_minutes"),
        "gigabytes": engine.get("trial_gigabytes"),
    }


def worker_name() -> str:
    """This process, wherever a run's rows are read."""
    return f"{os.uname().nodename}:{os.getpid()}"

"""Worker main: the process that trains. It is given trials one after another, and watched.

Orders: {"trial": fields, "worker": name, "at": when on the monotonic clock}, and after a row at a
rung {"go": whether on to the next}. Answers: {"ready": bytes that a trial may take, null for no
limit}, {"row": JSON}, {"doing": what now, "share": of training}, and {"waits": whether} around the
time for which others had the device. The supervisor has the other ends.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from controller.config import RunConfig
from controller.exits import fault_of_the_machine
from controller.parents import start_of
from controller.process_tree import private_bytes
from controller.trial import Trial
from controller.trial_row import Start, row_of, trial_of, within_size
from controller.worker import failed_row, measurements_folder, stages_of
from controller.worker_process import read_setup
from evaluator import Evaluator, Measurement, Task, device_lock
from evaluator.memory_limit import memory_limit
from evaluator.spans import Spans
from results import TrialRow
from search_space import Design

GIB = 2**30
FOR_THE_SYSTEM = GIB  # of the machine's memory, and no more than a quarter of it
LEAST = GIB // 4  # of a trial, which holds about as much once torch is imported


def main(orders: int, answers: int, folder: str) -> None:
    """Take trials until the orders end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.enable()  # a crash leaves its Python traceback in the log
    lines = os.fdopen(orders, encoding="utf-8")
    answer = _answering(answers)
    device_lock.tell_waits(answers)
    setup, arrays = read_setup(Path(folder))
    rows = _rows_of(setup, arrays)
    answer({"ready": _limit_memory(setup)})
    while order := lines.readline():
        _run(json.loads(order), rows, lines, answer, Path(setup["run"]))


Rows = Callable[[Trial, str, Spans], Iterator[TrialRow]]
Answer = Callable[[Mapping[str, Any]], None]


def _answering(file: int) -> Answer:
    """One line each, whole, whatever thread it comes from."""
    lock = threading.Lock()

    def answer(what: Mapping[str, Any]) -> None:
        left = json.dumps(what).encode() + b"\n"
        with lock:
            while left:
                left = left[os.write(file, left) :]

    return answer


def _rows_of(setup: Mapping[str, Any], arrays: Any) -> Rows:
    """What gives the rows of a trial; if nothing can, each trial is told why."""
    run, rungs = Path(setup["run"]), setup["rungs"]
    try:
        evaluator = _evaluator(setup, arrays, run)
    except Exception as error:
        reason = error

        def refused(trial: Trial, worker: str, spans: Spans) -> Iterator[TrialRow]:
            yield failed_row(trial, reason, run, worker, spans=spans)

        return refused
    return lambda trial, worker, spans: stages_of(trial, evaluator, run, worker, rungs, spans)


def _evaluator(setup: Mapping[str, Any], arrays: Any, run: Path) -> Evaluator:
    if not run.is_dir():
        raise FileNotFoundError(
            f"{os.uname().nodename} does not see {run}; a run's folder must be shared by all nodes"
        )
    config = RunConfig.model_validate(setup["config"])
    return Evaluator(
        config.evaluation,
        Task.of(config.task, arrays),
        Design.from_json(setup["reference"]),
        start_of(config.start, config.task),
        kept=measurements_folder(run),
    )


def _run(order: dict[str, Any], rows: Rows, lines: IO[str], answer: Answer, run: Path) -> None:
    """One trial, to its end or to the rung that it is stopped at."""
    start, trial, worker = Start(), trial_of(order["trial"]), order["worker"]
    spans = Spans(lambda doing, share: answer({"doing": doing, "share": share}), order["at"])
    stages = rows(trial, worker, spans)
    while True:
        try:
            row = next(stages)
            text = within_size(row, trial, start)
        except OSError as error:  # the run's storage; what the trial raises is a row
            found = Measurement("lost", fault_of_the_machine(error) or str(error))
            text = row_of(trial, found, worker, start, spans).to_json()
        except BaseException as error:  # KeyboardInterrupt, or an error in what makes rows
            text = failed_row(trial, error, run, worker, start, spans).to_json()
        answer({"row": text})
        if json.loads(text)["state"] != "pruned" or not json.loads(lines.readline())["go"]:
            return


def _limit_memory(setup: Mapping[str, Any]) -> int | None:
    """Let an allocation beyond a trial's share fail, and say what the share is.

    Only what is really private memory is limited: address space is reserved by the gigabyte.
    """
    gigabytes = setup["gigabytes"]
    if gigabytes is None:
        cores = len(os.sched_getaffinity(0))
        here = min(setup["workers"], max(1, cores // setup["threads"]))  # a cluster has many more
        limit = share_of(memory_limit(), here)
    else:
        limit = int(gigabytes * GIB)
    reserved = max(0, _data_bytes() - private_bytes(os.getpid()))  # and not used, by stacks mostly
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    within = limit + reserved if hard == resource.RLIM_INFINITY else min(hard, limit + reserved)
    resource.setrlimit(resource.RLIMIT_DATA, (within, hard))
    return limit


def share_of(memory: int, workers: int) -> int:
    """Bytes for a trial, of a machine's that so many workers share; a small one still runs some."""
    return max(LEAST, (memory - min(FOR_THE_SYSTEM, memory // 4)) // workers)


def _data_bytes() -> int:
    """What the limit counts by now; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmData")), 0)

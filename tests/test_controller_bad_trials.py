"""Bad trials end with the right state and a reason, soon, and the next trial runs as ever."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tiny_runs import tiny_run

from controller import RunConfig, Search, Trial
from controller.exits import ending_of, fault_of_the_machine
from controller.known import candidates_of
from controller.simulation.memory_log import MemoryLog
from controller.supervisor import GIB, Supervisor, setup_of
from controller.time_limit import LongestTrial, limit_of
from controller.trial_row import LARGEST_ROW, Start, cut, within_size
from controller.worker_log import LARGEST_LOG, WorkerLog, log_path
from controller.worker_main import share_of
from controller.worker_process import WorkerProcess
from evaluator import Task
from evaluator.device_lock import DeviceLock
from evaluator.tasks.mix import read_data
from results import TrialRow

TASK = Path(__file__).parents[1] / "benchmarks" / "bad_task.py"
LIMIT_S = 8.0  # sound trials take 3 on a machine that is busy otherwise

CASES = {
    "an exception": ("failed", r"train_batch raised KeyError \(.* at .*bad_task.py, line \d+"),
    "ten megabytes in an exception": ("failed", r"ValueError: .*x+ \.\.\. \([\d,]+ more char"),
    "a MemoryError": ("infeasible", "out of memory: train_batch raised MemoryError"),
    "a KeyboardInterrupt": ("failed", "KeyboardInterrupt"),
    "a segmentation fault": ("failed", r"the trial crashed its process \(SIGSEGV\) \(its output"),
    "an abort": ("failed", r"the trial crashed its process \(SIGABRT\)"),
    "os._exit(3)": ("failed", "the trial ended its process with code 3"),
    "sys.exit(3)": ("failed", r"train_batch raised SystemExit \(3\)"),
    "SIGKILL": ("lost", r"the trial's process was killed from outside \(SIGKILL\)"),
    "SIGTERM": ("lost", r"the trial's process was killed from outside \(SIGTERM\)"),
    "SIGKILL to its group": ("lost", "the trial's process was killed from outside"),
    "memory without end": ("infeasible", "out of memory: train_batch raised RuntimeError"),
    "memory of two processes": ("infeasible", r"out of memory: it held [\d.]+ GiB, above its"),
    "sleep for ever": ("failed", r"took longer than its limit of 8 seconds \(engine.trial_min"),
    "a hang in native code": ("failed", "took longer than its limit of 8 seconds"),
    "a hang that ignores SIGTERM": ("failed", "took longer than its limit of 8 seconds"),
    "a stopped process": ("failed", "took longer than its limit of 8 seconds"),
    "not a number": ("diverged", "the loss was .*nan"),
    "nothing returned": ("failed", "train_batch of .* must"),
    "ten megabytes printed": ("complete", ""),
    "too many open files": ("lost", r"the process has too many open files; .*EMFILE"),
    "processes left behind": ("failed", "and now the trial ends"),
    "closed files": ("failed", "the trial closed the pipe"),
}
RARER = {  # each much like another one, and with a wait or a new process
    "a MemoryError",
    "a hang that ignores SIGTERM",
    "a stopped process",
    "sleep for ever",
    "closed files",
    "SIGKILL to its group",
}
SURVIVE = {"not a number", "ten megabytes printed"}  # and leave the process fit for another trial


class Workers:
    """Two supervisors in turn: while one's trial runs, the other's process starts."""

    def __init__(self, run: Path, folder: Path) -> None:
        own = {"file": str(TASK), "options": {"folder": str(folder)}, "batch": 4}
        engine = {"trial_minutes": LIMIT_S / 60, "trial_gigabytes": 0.75}
        plain = tiny_run(steps=3, task={"own": own}, engine=engine, search={"trials": 60})
        plain["objectives"] = {"accuracy": "max", "kv_cache_bytes": "min"}
        config = RunConfig.model_validate(plain)
        data = read_data(config.task)
        self.run, self.folder = run, folder
        space = candidates_of(config, Task.of(config.task, data))
        self.search = Search.of(config, MemoryLog(), space)
        reference = space.space.presets()["mha"].to_json()
        setup = setup_of(config.to_plain(), run, reference, (0.4, 1.0), workers=2)
        self.both = [Supervisor(run, setup, data, f"w{number}") for number in range(2)]

    def next(self) -> Trial:
        trial = self.search.next_trial()
        assert trial is not None
        return trial

    def ends(self, trial: Trial) -> TrialRow:
        """The last row of a trial in the one whose turn it is."""
        self.both = [*self.both[1:], self.both[0]]
        *_, row = self.both[-1].rows(trial)
        return row

    def trainers(self) -> set[int]:
        """Processes that train, or are about to."""
        found = set[int]()
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # gone by now
                if child.ppid() != os.getpid() and "controller.worker_main" in child.cmdline():
                    found.add(child.pid)
        return found


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    run, folder = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("asked")
    for name in ("logs", "inbox", "checkpoints"):
        (run / name).mkdir()
    both = Workers(run, folder)
    yield both
    for supervisor in both.both:
        supervisor.close()
    assert both.trainers() == set()


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k in RARER else k for k in CASES]
)
def test_a_bad_trial_ends_with_its_state_and_reason(workers: Workers, kind: str) -> None:
    state, reason = CASES[kind]
    trial = workers.next()
    before = workers.trainers()
    (workers.folder / "do-0").write_text(kind)
    row = workers.ends(trial)
    assert (row.state, row.trial) == (state, trial.trial), row.reason
    assert re.search(reason, row.reason or "")
    assert len(row.reason or "") <= 600
    assert row.finished_at >= row.started_at
    assert any((workers.run / "inbox").glob(f"{trial.trial:06d}-*.row"))
    log = log_path(workers.run, trial)
    assert not log.exists() or log.stat().st_size < 2 * LARGEST_LOG + 100
    if "logs/" in (row.reason or ""):
        assert log.read_bytes()
    started = workers.folder / "started"
    if started.exists():
        assert not [pid for pid in map(int, started.read_text().split()) if psutil.pid_exists(pid)]
        started.unlink()
    if kind in SURVIVE:
        assert before <= workers.trainers()


def test_trials_follow_one_another_in_one_process_and_stop_at_rungs(workers: Workers) -> None:
    supervisor = workers.both[0]
    *_, first = supervisor.rows(workers.next())
    before = workers.trainers()
    rows = supervisor.rows(workers.next())
    stopped = next(rows)
    rows.close()
    again = supervisor.rows(workers.next())
    states = [row.state for row in again]
    assert (first.state, stopped.state, states) == ("complete", "pruned", ["pruned", "complete"])
    assert stopped.reason == "stopped after 1 of 3 steps"
    assert workers.trainers() == before
    assert {first.worker, stopped.worker} <= {"w0", "w1"}


def test_a_process_that_dies_between_trials_costs_none(workers: Workers) -> None:
    supervisor = workers.both[0]
    *_, row = supervisor.rows(workers.next())
    assert row.state == "complete"
    killed = workers.trainers()
    for trainer in killed:
        os.kill(trainer, signal.SIGKILL)
    give_up = time.monotonic() + 10
    while any(map(psutil.pid_exists, killed)) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert workers.ends(workers.next()).state == "complete"


def test_a_process_killed_at_a_rung_is_a_lost_trial(workers: Workers) -> None:
    supervisor = workers.both[0]
    rows = supervisor.rows(workers.next())
    assert next(rows).state == "pruned"
    for trainer in workers.trainers():
        os.kill(trainer, signal.SIGKILL)
    last = next(rows)
    assert (last.state, last.rung) == ("lost", 1)


def test_waiting_for_a_device_is_not_the_trials_time(workers: Workers) -> None:
    assert workers.ends(workers.next()).state == "complete"
    assert workers.ends(workers.next()).state == "complete"  # both are ready
    rows: list[TrialRow] = []
    trial = workers.next()
    with DeviceLock("cpu").alone():
        thread = threading.Thread(target=lambda: rows.append(workers.ends(trial)))
        thread.start()
        time.sleep(LIMIT_S + 1.5)
        assert rows == []
    thread.join()
    assert rows[0].state == "complete"
    assert rows[0].finished_at - rows[0].started_at > LIMIT_S


def test_a_result_that_the_inbox_does_not_take_still_reaches_the_engine(workers: Workers) -> None:
    inbox = workers.run / "inbox"
    inbox.rename(workers.run / "elsewhere")
    try:
        assert workers.ends(workers.next()).state == "complete"
    finally:
        (workers.run / "elsewhere").rename(inbox)


SUPERVISED = """
import json, sys
from pathlib import Path
import numpy as np
from controller.supervisor import Supervisor
from controller.trial_row import trial_of
given = json.loads(sys.stdin.readline())
arrays = {"own": dict(np.load(given["arrays"]))}
supervisor = Supervisor(Path(given["setup"]["run"]), given["setup"], arrays, "w")
list(supervisor.rows(trial_of(given["trial"])))
"""


def test_nothing_lives_on_after_a_killed_supervisor(workers: Workers, tmp_path: Path) -> None:
    """Its trial had started one process in a session of its own, whose parent is gone."""
    supervisor, trial = workers.both[0], workers.next()
    np.savez(tmp_path / "arrays.npz", **dict[str, Any](supervisor._arrays["own"]))
    (workers.folder / "do-0").write_text("processes left behind, and a hang")
    given = {"setup": supervisor._setup, "trial": trial.row_fields()}
    driver = subprocess.Popen([sys.executable, "-c", SUPERVISED], stdin=subprocess.PIPE, text=True)
    assert driver.stdin is not None
    driver.stdin.write(json.dumps(given | {"arrays": str(tmp_path / "arrays.npz")}) + "\n")
    driver.stdin.close()
    started, give_up = workers.folder / "started", time.monotonic() + 60
    while not (started.exists() and len(started.read_text().split()) == 2):
        assert time.monotonic() < give_up
        assert driver.poll() is None
        time.sleep(0.05)
    below = {child.pid for child in psutil.Process(driver.pid).children(recursive=True)}
    below |= set(map(int, started.read_text().split()))
    started.unlink()
    driver.kill()
    driver.wait()
    assert len(below) >= 4
    give_up = time.monotonic() + 20
    while any(map(psutil.pid_exists, below)) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not [pid for pid in below if psutil.pid_exists(pid)]


def test_what_watches_over_trials_needs_no_torch() -> None:
    check = (
        "import sys, controller.supervisor, controller.engines; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


@pytest.mark.parametrize(
    ("code", "facts", "state", "reason"),
    [
        (0, {}, "failed", "the trial ended its process with code 0"),
        (-signal.SIGKILL, {}, "lost", "the trial's process was killed from outside (SIGKILL)"),
        (
            -signal.SIGKILL,
            {"out_of_memory": True},
            "infeasible",
            "out of memory: the system killed the trial's process for it",
        ),
        (-signal.SIGSEGV, {"out_of_memory": True}, "failed", "crashed its process (SIGSEGV)"),
        (-signal.SIGABRT, {"said": b"what():  std::bad_alloc"}, "infeasible", "out of memory"),
        (-64, {}, "failed", "the trial crashed its process (SIGRTMAX)"),
        (-99, {}, "failed", "the trial crashed its process (signal 99)"),
    ],
)
def test_how_a_process_ended_says_what_became_of_its_trial(
    code: int, facts: dict[str, Any], state: str, reason: str
) -> None:
    ending = ending_of(code, **facts)
    assert ending.state == state
    assert reason in ending.reason


def test_only_what_the_machine_lacks_is_its_fault() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    wrapped = ValueError("train_batch raised OSError")
    wrapped.__cause__ = full
    for error in (full, wrapped):
        assert fault_of_the_machine(error) == "the disk is full; free some space (ENOSPC)"
    assert fault_of_the_machine(FileNotFoundError(errno.ENOENT, "no such file")) is None
    assert fault_of_the_machine(ValueError("no")) is None


def test_reasons_and_rows_are_of_a_sane_size(workers: Workers) -> None:
    assert cut("short") == "short"
    assert len(cut("x" * 10**7)) <= 500
    trial, start = workers.next(), Start()
    fields = {"state": "complete", "worker": "w", "started_at": 1.0, "finished_at": 2.0}
    row = TrialRow.from_plain(trial.row_fields() | fields | {"metrics": {}})
    assert TrialRow.from_json(within_size(row, trial, start)) == row
    large = TrialRow.from_plain(row.to_plain() | {"notes": {"a": "x" * LARGEST_ROW}})
    refused = TrialRow.from_json(within_size(large, trial, start))
    assert refused.state == "failed"
    assert "the result takes 4.0 MiB, above the limit of 4 MiB" in (refused.reason or "")


def test_the_time_limit_follows_the_longest_trial_that_was_trained_to_its_end(
    tmp_path: Path, workers: Workers
) -> None:
    assert limit_of(tmp_path, None) is None
    configured = limit_of(tmp_path, 1.5)
    assert configured is not None
    assert configured.reason == "took longer than its limit of 1.5 minutes (engine.trial_minutes)"
    longest = LongestTrial(tmp_path)
    fields = {"worker": "w", "started_at": 0.0} | workers.next().row_fields()
    rows: list[TrialRow] = []
    for state, took, trained, seconds in (
        ("infeasible", 0.4, 0.0, None),
        ("pruned", 90.0, 80.0, None),  # at a rung, or measured alone
        ("diverged", 60.0, 50.0, None),
        ("failed", 900.0, 0.0, None),
        ("complete", 3.0, 2.0, 600.0),
        ("lost", 900.0, 0.0, 600.0),
        ("complete", 4.0, 100.0, 2000.0),  # went on near its end from another process's checkpoint
        ("complete", 120.0, 2.0, 2400.0),
        ("complete", 50.0, 40.0, 2400.0),
    ):
        ended = {"state": state, "finished_at": took, "metrics": {"train_seconds": trained}}
        rows.append(TrialRow.from_plain(fields | ended))
        longest.note(rows[-1])
        limit = limit_of(tmp_path, None)
        assert (limit and limit.seconds) == seconds
    LongestTrial(tmp_path, rows[:4])  # of a driver that goes on with the run: its rows say
    assert limit_of(tmp_path, None) is None
    LongestTrial(tmp_path, rows)
    assert limit_of(tmp_path, None) == limit


def test_a_worker_without_a_temporary_folder_loses_the_trial_and_says_why(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = workers.both[0]
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        supervisor = Supervisor(workers.run, other._setup, other._arrays, "w")
        (row,) = supervisor.rows(workers.next())
    assert row.state == "lost"
    assert re.search(r"gone/.* \(the trial's process did not start\)", row.reason or "")
    *_, row = supervisor.rows(workers.next())
    supervisor.close()
    assert row.state == "complete"


def test_a_worker_that_has_no_files_left_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    limits, highest = (
        resource.getrlimit(resource.RLIMIT_NOFILE),
        max(map(int, os.listdir("/proc/self/fd"))),
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 5, limits[1]))
    held: list[int] = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.dup(0))
        for file in held[-3:]:  # enough for one pipe, not for two
            os.close(file)
        del held[-3:]
        open_before = len(held)
        with pytest.raises(OSError, match="Too many open files"):
            WorkerProcess({}, {}, "nothing")
        with suppress(OSError):
            while True:
                held.append(os.dup(0))
    finally:
        for file in held:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(held) == open_before + 3
    assert list(tmp_path.iterdir()) == []


SLOW = """
import os, subprocess, sys, time
from pathlib import Path

def main(orders, answers, folder):
    given = Path(__file__).parent
    while not (given / "read").exists():
        time.sleep(0.01)
    with os.fdopen(orders) as lines:
        os.write(answers, b'{"bytes": %d}\\n' % len(lines.readline()))
        code = "import os, time; print(os.getpid() if not os.fork() else '', flush=True)"
        orphan = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        os.write(answers, b'{"orphan": %d}\\n' % int(orphan.stdout))
        lines.readline()
"""


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerProcess]:
    """A process that reads nothing until a file named `read` is there."""
    (tmp_path / "slow_worker.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    process = WorkerProcess({}, {}, "slow_worker")
    yield process
    process.kill()


def answer_of(process: WorkerProcess, log: WorkerLog, name: str) -> int:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        for answer in process.answers(log, 0.5):
            if name in answer:
                return answer[name]
    raise AssertionError(f"no {name}: {log.tail!r}")


def test_a_process_that_reads_nothing_keeps_nobody_who_orders(
    slow: WorkerProcess, tmp_path: Path
) -> None:
    """An order is many times what a pipe takes; what a trial leaves behind is reaped at once."""
    log, order = WorkerLog(tmp_path / "log"), {"trial": "x" * 10**6}
    told = threading.Thread(target=slow.order, args=(order,), daemon=True)
    told.start()
    told.join(5)
    assert not told.is_alive()
    assert slow.answers(log, 0.1) == []
    (tmp_path / "read").touch()
    assert answer_of(slow, log, "bytes") == len(json.dumps(order)) + 1
    orphan, give_up = answer_of(slow, log, "orphan"), time.monotonic() + 10
    while psutil.pid_exists(orphan) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not psutil.pid_exists(orphan)
    assert slow.alive


@pytest.mark.parametrize(
    ("gibibytes", "workers_here", "share"),
    [(0.5, 1, 0.375), (1, 1, 0.75), (1, 8, 0.25), (2, 2, 0.75), (16, 3, 5), (0.125, 4, 0.25)],
)
def test_a_trial_has_a_share_of_a_small_machines_memory_too(
    gibibytes: float, workers_here: int, share: float
) -> None:
    assert share_of(int(gibibytes * GIB), workers_here) == share * GIB


def test_a_log_keeps_a_megabyte_and_says_what_is_missing(tmp_path: Path) -> None:
    log = WorkerLog(tmp_path / "logs.log")
    log.close()
    assert not log.exists
    for _ in range(30):
        log.take(b"x" * 100_000)
    log.close()
    text = log.path.read_bytes()
    assert text.startswith(b"x" * LARGEST_LOG + b"\n... 1,951,424 more bytes were left out")
    assert len(log.tail) == 4096

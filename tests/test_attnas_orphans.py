"""After a killed driver nothing of a search lives on: no worker, no trial, nothing they started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tiny_runs import tiny_run

TASK = Path(__file__).parents[1] / "benchmarks" / "bad_task.py"
COMMAND = [sys.executable, "-c", "from attnas.cli import main; main()"]


def begun(folder: Path) -> subprocess.Popen[bytes]:
    """A search under Ray of which one trial hangs, and has started two stubborn processes."""
    own = {"file": str(TASK), "options": {"folder": str(folder)}, "batch": 4}
    plain = tiny_run(steps=3, task={"own": own}, engine={"name": "ray", "workers": 2})
    plain["objectives"] = {"accuracy": "max", "kv_cache_bytes": "min"}
    plain["search"] = {"trials": 500, "strategy": "random", "finalists": 0}
    (folder / "my.yaml").write_text(json.dumps(plain))
    (folder / "do-0").write_text("processes left behind, and a hang")
    search = subprocess.Popen(
        [*COMMAND, "search", "my.yaml"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    give_up = time.monotonic() + 120
    while len(started(folder)) < 2:
        if search.poll() is not None or time.monotonic() > give_up:
            search.kill()
            raise AssertionError(f"no trial hung; the search ended with {search.wait()}")
        time.sleep(0.1)
    return search


def started(folder: Path) -> list[int]:
    file = folder / "started"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def below(search: subprocess.Popen[bytes], folder: Path) -> list[psutil.Process]:
    """Ray's processes, workers, trials, and what the trial put aside."""
    aside = [psutil.Process(pid) for pid in started(folder)]
    return [*psutil.Process(search.pid).children(recursive=True), *aside]


def living(processes: list[psutil.Process], within_s: float) -> list[str]:
    """Those that are still there when the time is over."""
    give_up = time.monotonic() + within_s
    while any(map(runs, processes)) and time.monotonic() < give_up:
        time.sleep(0.2)
    return [str(process) for process in processes if runs(process)]


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_a_minute_after_a_killed_driver_nothing_of_its_search_lives(tmp_path: Path) -> None:
    search = begun(tmp_path)
    processes = below(search, tmp_path)
    assert len(processes) > 8
    search.kill()
    search.wait()
    assert living(processes, within_s=60) == []


@pytest.mark.slow
def test_two_interrupts_end_a_search_in_which_a_trial_hangs(tmp_path: Path) -> None:
    search = begun(tmp_path)
    processes = below(search, tmp_path)
    os.kill(search.pid, signal.SIGINT)
    time.sleep(1)
    assert search.poll() is None  # it waits for the trial
    os.kill(search.pid, signal.SIGINT)
    assert search.wait(60) == 130
    assert living(processes, within_s=30) == []

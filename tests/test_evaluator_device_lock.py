"""Nobody trains on a device while it is measured, and nobody waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

import evaluator.device_lock
from evaluator.device_lock import DeviceLock, private_folder

# A process of its own, without the two seconds that importing torch takes.
LOCK_USER = f"""
import importlib.util, os, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("device_lock", {evaluator.device_lock.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
folder = Path(sys.argv[1])
lock = module.DeviceLock("cpu", folder)
log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(text): os.write(log, (text + "\\n").encode())
def say(text): print(text, flush=True)
"""
HOLD = (
    LOCK_USER
    + """
with getattr(lock, sys.argv[2])():
    say("in")
    sys.stdin.readline()
"""
)
TRAIN = (
    LOCK_USER
    + """
say("in")
while not (folder / "stop").exists():
    with lock.shared():
        note("step in")
        sum(range(20_000))
        note("step out")
"""
)
MEASURE = (
    LOCK_USER
    + """
for _ in range(25):
    with lock.alone():
        note("measure in")
        sum(range(60_000))
        note("measure out")
(folder / "stop").touch()
"""
)


@contextmanager
def process(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for end in (child.stdin, child.stdout):
            if end is not None:
                with suppress(BrokenPipeError):
                    end.close()


def pipe(of: IO[str] | None) -> IO[str]:
    assert of is not None
    return of


def wait_until_in(child: subprocess.Popen[str]) -> None:
    assert pipe(child.stdout).readline() == "in\n"


def test_training_steps_share_the_device(tmp_path: Path) -> None:
    """The second is in while the first has not left: only its line on stdin lets it."""
    with process(HOLD, tmp_path, "shared") as one, process(HOLD, tmp_path, "shared") as other:
        wait_until_in(one)
        wait_until_in(other)
        for child in (one, other):
            assert child.poll() is None
            pipe(child.stdin).write("leave\n")
            assert child.wait(30) == 0


@pytest.mark.parametrize("held", ["shared", "alone"])
def test_a_killed_holder_frees_the_device(tmp_path: Path, held: str) -> None:
    with process(HOLD, tmp_path, held) as holder:
        wait_until_in(holder)
        with process(HOLD, tmp_path, "alone") as waiting:
            os.kill(holder.pid, signal.SIGKILL)
            wait_until_in(waiting)
            pipe(waiting.stdin).write("leave\n")
            assert waiting.wait(30) == 0


def test_measuring_excludes_training_and_is_not_starved_by_it(tmp_path: Path) -> None:
    """Two loops of steps without a pause; only 25 finished measurements stop them."""
    with process(TRAIN, tmp_path) as one, process(TRAIN, tmp_path) as other:
        wait_until_in(one)
        wait_until_in(other)
        with process(MEASURE, tmp_path) as measuring:
            assert measuring.wait(60) == 0
        assert one.wait(30) == other.wait(30) == 0
    events = (tmp_path / "log").read_text().splitlines()
    steps, measuring_now, measured, together = 0, False, 0, 0
    for event in events:
        if event == "measure in":
            assert steps == 0
            assert not measuring_now
            measuring_now = True
        elif event == "measure out":
            measuring_now, measured = False, measured + 1
        else:
            assert not measuring_now
            steps += 1 if event == "step in" else -1
            together = max(together, steps)
    assert measured == 25
    assert together == 2


def test_locks_of_two_devices_do_not_meet(tmp_path: Path) -> None:
    with DeviceLock("cuda:0", tmp_path).alone(), DeviceLock("cuda:1", tmp_path).alone():
        names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["cuda-0.floor", "cuda-0.gate", "cuda-1.floor", "cuda-1.gate"]


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    for enter in (DeviceLock("cpu", tmp_path).alone, DeviceLock("cpu", tmp_path).shared):
        with pytest.raises(ZeroDivisionError), enter():
            raise ZeroDivisionError
        with DeviceLock("cpu", tmp_path).alone():
            pass


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cpu.gate").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        DeviceLock("cpu", tmp_path)


def test_the_folder_of_locks_must_belong_to_this_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = private_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(PermissionError, match="must belong to you alone"):
        private_folder()

"""A task of a user's own that does one bad thing whenever its folder asks for it.

A file `do-...` in the folder names the thing; the first trial that finds it removes it and does it.
What it ran into is said by the supervisor; this file notes when it began, and what it started.
"""
# ruff: noqa: D103, SIM115 - each name says what it does, and what is left open is the point

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

TRAINER = "controller.worker_main"  # among the arguments of the process that trains
MIB = 2**20


class Task:
    """Whether a number is above zero; each position answers by itself."""

    kinds = ("decoder",)
    symbols = 2
    chance = 0.5
    channels = 2

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def train_batch(self, batch, generator):
        """The batch, unless something else is to happen."""
        inputs = torch.randn((batch, 8, 2), generator=generator)
        found = inputs, (inputs[..., 0] > 0).long()
        if TRAINER in sys.argv and in_training() and (kind := self.asked()):
            return BAD[kind](self, found)
        return found

    def held_out(self):
        """Always the same."""
        inputs = torch.randn((64, 8, 2), generator=torch.Generator().manual_seed(1))
        yield inputs, (inputs[..., 0] > 0).long()

    def asked(self) -> str:
        """What to do now, if anything; nobody else is asked for it again."""
        for file in sorted(self.folder.glob("do-*")):
            try:
                kind = file.read_text()
                file.unlink()
            except FileNotFoundError:
                continue
            (self.folder / "began").write_text(f"{time.time()} {supervisor()}")
            return kind
        return ""

    def note(self, process: int) -> None:
        """A process that should be gone soon."""
        with open(self.folder / "started", "a") as file:
            file.write(f"{process}\n")


def supervisor() -> int:
    """Three processes above this one; the rows of its trials are named by it."""
    above = os.getpid()
    for _ in range(3):
        above = int(Path(f"/proc/{above}/stat").read_text().rpartition(")")[2].split()[1])
    return above


def in_training() -> bool:
    """Batches are drawn for their sizes as well."""
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "add_gradients":
        frame = frame.f_back
    return frame is not None


def raise_error(task, found):
    raise KeyError("what the trial\ndid wrong")


def raise_ten_megabytes(task, found):
    raise ValueError("x" * (10 * MIB))


def raise_memory_error(task, found):
    raise MemoryError


def raise_interrupt(task, found):
    raise KeyboardInterrupt


def segfault(task, found):
    ctypes.string_at(0)


def abort(task, found):
    os.abort()


def exit_at_once(task, found):
    os._exit(3)


def exit_politely(task, found):
    sys.exit(3)


def killed(task, found):
    os.kill(os.getpid(), signal.SIGKILL)


def terminated(task, found):
    os.kill(os.getpid(), signal.SIGTERM)


def group_killed(task, found):
    os.killpg(0, signal.SIGKILL)


def grow(task, found):
    kept = []
    while True:
        kept.append(torch.ones(16 * MIB // 4))


def grow_in_two(task, found):
    """Neither process is above the limit; together they are."""
    helper = subprocess.Popen([sys.executable, "-c", HOLD])
    task.note(helper.pid)
    kept = bytearray(os.urandom(MIB)) * 300
    time.sleep(60)
    return found, kept


HOLD = f"import os, time; kept = os.urandom({MIB}) * 300; time.sleep(600)"


def sleep(task, found):
    time.sleep(3600)


def hang_in_native_code(task, found):
    """A regular expression that tries for ever and never lets another thread run."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def ignore_sigterm(task, found):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


def stopped(task, found):
    os.kill(os.getpid(), signal.SIGSTOP)


def nan(task, found):
    """Inputs that are no numbers would be refused; of these the loss is none."""
    return found[0].sign() * 3e38, found[1]


def nothing(task, found):
    return None


def print_ten_megabytes(task, found):
    for _ in range(10 * 1024):
        print("x" * 1023)
    sys.stdout.flush()
    return found


def too_many_files(task, found):
    kept = []
    while True:
        kept.append(open(os.devnull))


def leave_processes(task, found):
    """One in a session of its own, whose parent is gone at once; and one that ignores SIGTERM."""
    orphan = "import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(600)"
    shell = f"{sys.executable} -c '{orphan}' & wait -n; true"
    lingering = subprocess.Popen(
        ["bash", "-c", shell], stdout=subprocess.PIPE, start_new_session=True
    )
    assert lingering.stdout is not None
    task.note(int(lingering.stdout.readline()))
    lingering.kill()
    stubborn = "import signal, time; signal.signal(15, 1); time.sleep(600)"
    task.note(subprocess.Popen([sys.executable, "-c", stubborn]).pid)
    raise RuntimeError("and now the trial ends")


def leave_and_hang(task, found):
    with contextlib.suppress(RuntimeError):
        leave_processes(task, found)
    time.sleep(3600)


def close_everything(task, found):
    os.closerange(3, 256)
    time.sleep(3600)


BAD = {
    "an exception": raise_error,
    "ten megabytes in an exception": raise_ten_megabytes,
    "a MemoryError": raise_memory_error,
    "a KeyboardInterrupt": raise_interrupt,
    "a segmentation fault": segfault,
    "an abort": abort,
    "os._exit(3)": exit_at_once,
    "sys.exit(3)": exit_politely,
    "SIGKILL": killed,
    "SIGTERM": terminated,
    "SIGKILL to its group": group_killed,
    "memory without end": grow,
    "memory of two processes": grow_in_two,
    "sleep for ever": sleep,
    "a hang in native code": hang_in_native_code,
    "a hang that ignores SIGTERM": ignore_sigterm,
    "a stopped process": stopped,
    "not a number": nan,
    "nothing returned": nothing,
    "ten megabytes printed": print_ten_megabytes,
    "too many open files": too_many_files,
    "processes left behind": leave_processes,
    "processes left behind, and a hang": leave_and_hang,
    "closed files": close_everything,
}

"""Keeper: the small process between a supervisor and the process that trains.

It leaves nothing behind: when the trainer ends, or the supervisor is gone and with it the other end
of the orders' pipe, all that the trainer started is killed, wherever that moved to. Then it ends as
the trainer did, by the same code or signal. It is forked before anything large is imported.

Ray kills what is directly below a worker that ends. So the keeper is a child of what was started:
that one only waits for it, and passes on how it ended.
"""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from controller.process_tree import end_descendants
from evaluator.parent_death import control_process, die_with

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # sent to a whole group, say


def main() -> None:
    """Keep a trainer; arguments are its pipes, its folder and what to import and call for it."""
    orders, answers, folder, module = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core per crash would fill the disk
    if below := os.fork():
        for file in (orders, answers, 1, 2):
            os.close(file)
        _ignore_signals()
        _end_as(os.waitpid(below, 0)[1])
    control_process(PR_SET_CHILD_SUBREAPER, 1)
    keeper = os.getpid()
    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    trainer = os.fork()
    if not trainer:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)  # what it sends to its own group is not for the keeper
        die_with(keeper)
        run_trainer(module, orders, answers, folder)
        return
    _ignore_signals()
    os.close(answers)
    status = _watched(trainer, orders, woken)
    end_descendants(keeper)
    shutil.rmtree(folder, ignore_errors=True)
    _end_as(status)


def run_trainer(module: str, orders: int, answers: int, folder: str) -> None:
    """Only now anything large is imported."""
    from importlib import import_module

    import_module(module).main(orders, answers, folder)


def _watched(trainer: int, orders: int, woken: int) -> int | None:
    """How the trainer ended; None if the supervisor went first."""
    poll = select.poll()
    poll.register(orders, 0)  # only that nobody can write to it any more
    poll.register(woken, select.POLLIN)
    while True:
        for file, _ in poll.poll():
            if file == orders:
                return None
            with suppress(BlockingIOError):
                os.read(woken, 4096)
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:  # orphans that it took up as well
                if ended[0] == trainer:
                    return ended[1]


def _ignore_signals() -> None:
    """Those that stop a search are for its driver to hear."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def _end_as(status: int | None) -> NoReturn:
    """Pass on an exit code, or die by the same signal."""
    if status is not None and os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(0 if status is None else os.waitstatus_to_exitcode(status))

"""WorkerProcess: one process that trains, with its orders, its answers and what it prints.

Orders and answers are lines of JSON over pipes of their own. What the process needs to begin lies
in a private folder that it removes once it has read it. Nothing here waits without a limit.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from controller.process_tree import private_bytes
from controller.worker_log import WorkerLog

Arrays = Mapping[str, Mapping[str, npt.NDArray[Any]]]  # by part and name

KEEPER = "from controller.keeper import main; main()"
LONGEST_ANSWER = 8 * 2**20  # bytes of a line; what is longer is no answer
AT_ONCE = 2**16  # bytes of a pipe
END_S = 5.0  # for a process that went silent, and all below it, to be gone


class WorkerProcess:
    """Started at once; it answers when it has imported what it needs."""

    def __init__(self, setup: Mapping[str, Any], arrays: Arrays, module: str) -> None:
        with ExitStack() as after, ExitStack() as undo:
            self._folder = tempfile.mkdtemp(prefix="attnas-worker-")
            undo.callback(shutil.rmtree, self._folder, ignore_errors=True)
            orders, self._orders = os.pipe()
            after.callback(os.close, orders)
            undo.callback(os.close, self._orders)
            self._answers, answers = os.pipe()
            after.callback(os.close, answers)
            undo.callback(os.close, self._answers)
            _write_setup(Path(self._folder), setup, arrays)
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    KEEPER,
                    str(orders),
                    str(answers),
                    self._folder,
                    module,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(orders, answers),
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                start_new_session=True,  # Ctrl-C drains a search and leaves its trials alone
            )
            undo.pop_all()
        assert self._process.stdout is not None
        self._printed = self._process.stdout.fileno()
        for file in (self._orders, self._answers, self._printed):
            os.set_blocking(file, False)
        self._unsent = b""  # of orders, which the process may not read for a while
        self._line = b""
        self.ended = False  # nothing more will be answered
        self.too_long = False  # since an answer had no end

    @property
    def alive(self) -> bool:
        """Whether it still runs, and listens."""
        if self.ended or self._process.poll() is not None:
            return False
        poll = select.poll()
        poll.register(self._answers, 0)  # only that nobody can write to it any more
        return not poll.poll(0)

    def order(self, what: Mapping[str, Any]) -> None:
        """Tell it something; what its pipe does not take now goes with the wait for answers."""
        self._unsent += json.dumps(what).encode() + b"\n"
        self._send()

    def answers(self, log: WorkerLog, within_s: float) -> list[dict[str, Any]]:
        """What it answers within so many seconds, at the first that comes; output goes to `log`."""
        poll = select.poll()
        for file in [self._printed] if self.ended else [self._answers, self._printed]:
            poll.register(file, select.POLLIN)
        if self._unsent and not self.ended:
            poll.register(self._orders, select.POLLOUT)
        ready = [file for file, _ in poll.poll(1000 * within_s)]
        if self._orders in ready:
            self._send()
        if self._printed in ready and not self._printed_into(log):
            time.sleep(min(within_s, 0.01))  # closed its output, which would be ready for ever
        return self._read_answers() if self._answers in ready else []

    def exit_code(self, log: WorkerLog) -> int | None:
        """Its code, or minus the number of the signal that ended it; None if it only went silent.

        What it printed last goes to `log`.
        """
        give_up = time.monotonic() + END_S
        while (code := self._process.poll()) is None and time.monotonic() < give_up:
            self._printed_into(log)
            time.sleep(0.002)
        self._printed_into(log)
        self.kill()
        return code

    def private_bytes(self) -> int:
        """Memory of it and of all that it started."""
        return private_bytes(self._process.pid)

    def kill(self) -> None:
        """End it and everything that it started. Does nothing a second time."""
        if self._orders >= 0:
            os.close(self._orders)  # on which its keeper ends all that is below
            os.close(self._answers)
            self._orders = self._answers = -1
        self.ended = True
        try:
            self._process.wait(2 * END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._orders, self._unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # that it is dead is for its answers to say
            self._unsent = b""

    def _read_answers(self) -> list[dict[str, Any]]:
        with suppress(BlockingIOError):
            read = os.read(self._answers, AT_ONCE)
            self.ended = not read
            self._line += read
        if len(self._line) > LONGEST_ANSWER:
            self.ended = self.too_long = True
        *lines, self._line = self._line.split(b"\n")
        return [json.loads(line) for line in lines if line]

    def _printed_into(self, log: WorkerLog) -> bool:
        """All that waits to be read; False if nothing more can come."""
        if self._process.stdout is None or self._process.stdout.closed:
            return False
        with suppress(BlockingIOError):
            while output := os.read(self._printed, AT_ONCE):
                log.take(output)
                if len(output) < AT_ONCE:
                    return True
            return False
        return True


def _write_setup(folder: Path, setup: Mapping[str, Any], arrays: Arrays) -> None:
    """What the process reads when it begins; arrays one a file, to be mapped and not copied."""
    names: dict[str, dict[str, str]] = {}
    for part, of in arrays.items():
        names[part] = {}
        for name, array in of.items():
            file = f"{len(names)}-{len(names[part])}.npy"
            np.save(folder / file, np.asarray(array), allow_pickle=False)
            names[part][name] = file
    (folder / "setup.json").write_text(json.dumps({**setup, "arrays": names}), encoding="utf-8")


def read_setup(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, npt.NDArray[Any]]]]:
    """The setup and the arrays; the folder is gone afterwards, and what is mapped stays."""
    setup = json.loads((folder / "setup.json").read_text(encoding="utf-8"))
    arrays = {
        part: {name: _mapped(folder / file) for name, file in of.items()}
        for part, of in setup.pop("arrays").items()
    }
    shutil.rmtree(folder, ignore_errors=True)
    return setup, arrays


def _mapped(file: Path) -> npt.NDArray[Any]:
    """As a plain array: subclasses of it don't become tensors everywhere."""
    try:
        return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except ValueError:  # nothing can't be mapped
        return np.load(file, allow_pickle=False)

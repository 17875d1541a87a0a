"""Cluster guard: a small process that ends what a killed driver leaves of its local cluster.

Ray's agents notice the end of their driver, and then try for a minute to tell a server that is gone
as well. The guard notices it by a pipe of which the driver has the other end.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress

import psutil

GRACE_S = 10.0  # for Ray to end by itself


class ClusterGuard:
    """Watches over all that is below this process by now; for the driver, once Ray has started."""

    def __init__(self) -> None:
        below = [str(child.pid) for child in psutil.Process().children(recursive=True)]
        pipe, self._pipe = os.pipe()
        try:
            subprocess.run(
                [sys.executable, "-P", "-c", MAIN, str(pipe), *below],
                stdin=subprocess.DEVNULL,
                pass_fds=(pipe,),
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                start_new_session=True,  # Ctrl-C is for the driver
                check=True,
            )
        except BaseException:
            self.close()
            raise
        finally:
            os.close(pipe)

    def close(self) -> None:
        """After Ray was stopped; what does not end by itself is ended a little later."""
        os.close(self._pipe)


MAIN = "from controller.engines.cluster_guard import main; main()"


def main() -> None:
    """The guard itself; its arguments are the pipe and the processes. Nobody waits for it."""
    if os.fork():
        os._exit(0)
    processes: list[psutil.Process] = []
    for pid in sys.argv[2:]:
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(int(pid)))  # knows a process from a later one
    poll = select.poll()
    poll.register(int(sys.argv[1]), 0)  # only that nobody can write to it any more
    poll.poll()
    give_up = time.monotonic() + GRACE_S
    while any(map(_runs, processes)) and time.monotonic() < give_up:
        time.sleep(0.05)
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False

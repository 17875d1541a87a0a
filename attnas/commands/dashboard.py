"""dashboard: serve the pages on this machine only, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from attnas.failures import UsageError, say
from dashboard.launch import command, free_port
from results import RunError
from results.object_store import is_address
from results.pull import pulled_runs

PULL_S = 5.0  # drivers push as often


def serve(runs: str, port: int) -> None:
    """Start the dashboard and say where it is."""
    folder = pulled_runs(runs) if is_address(runs) else Path(runs)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {runs}; start a search first, or name its folder")
    try:
        free_port(port)
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(f"http://127.0.0.1:{port}  (Ctrl-C stops it)", flush=True)
    arguments = command(folder, port)
    if not is_address(runs):
        os.execv(arguments[0], arguments)  # the server itself, so that what ends this ends it
    threading.Thread(target=_keep_pulling, args=(runs,), daemon=True).start()
    server = subprocess.Popen(arguments)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    server.wait()


def _keep_pulling(runs: str) -> None:
    """Bring what is new; what keeps it from coming is said once."""
    said: str | None = None
    while True:
        time.sleep(PULL_S)
        try:
            pulled_runs(runs)
            said = None
        except (RunError, OSError) as error:
            if said is None:
                say(str(error))
            said = str(error)

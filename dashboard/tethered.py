"""Tethered: a command of attnas that ends with whoever started it: `python -m dashboard.tethered`.

Its standard input is a pipe that the one who started it holds open and never writes to. The end of
it is the end of that process, however it died, so nothing of the dashboard's goes on without it.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading

import psutil

ORPHANED = 130  # as after Ctrl-C


def main() -> None:
    """Run `attnas` with the arguments given here."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.argv[0] = "attnas"
    runpy.run_module("attnas", run_name="__main__")


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()

"""dashboard: serve the pages on this machine only, until Ctrl-C."""

from __future__ import annotations

import subprocess
from pathlib import Path

from attnas.failures import UsageError
from dashboard.launch import command, free_port


def serve(runs: Path, port: int) -> None:
    """Start the dashboard and say where it is."""
    if not runs.is_dir():
        raise UsageError(f"there is no folder {runs}; start a search first, or name its folder")
    try:
        free_port(port)
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(f"http://127.0.0.1:{port}  (Ctrl-C stops it)", flush=True)
    subprocess.run(command(runs, port), check=False)

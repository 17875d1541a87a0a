"""Browsing: the dashboard served on a free port, and a headless Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

# By its command: a script beside this one bears the name of the package.
ATTNAS = (sys.executable, "-c", "from attnas.cli import main; main()")

PAGES = (  # as in dashboard/app.py
    "overview",
    "pareto",
    "designs",
    "parameters",
    "trials",
    "compare",
    "timeline",
    "export",
    "runs",
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 60.0  # seconds until a page must have drawn itself
BUSY = """[data-testid="stApp"]:not([data-test-script-state="notRunning"]),
  [data-testid="stSkeleton"], [data-stale="true"]"""
DRAWN = '[data-testid="stVegaLiteChart"]:not(:has(canvas, svg))'  # none may be without a picture
SETTLED = f"""() => !document.querySelector(`{BUSY}`) && !document.querySelector(`{DRAWN}`)
  && document.querySelectorAll('[data-testid="stMain"] h2').length > 0"""


def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True, slots=True)
class Served:
    """A dashboard that runs."""

    address: str
    process: subprocess.Popen[bytes]

    @property
    def megabytes(self) -> float:
        """Memory that the server holds now."""
        command = psutil.Process(self.process.pid)
        servers = [command, *command.children(recursive=True)]
        return max(server.memory_info().rss for server in servers) / 2**20

    def url(self, page: str, **query: str) -> str:
        """The address of one of its pages."""
        return f"{self.address}/{page}?{urlencode(query)}"


@contextmanager
def serving(root: Path, cwd: Path | None = None) -> Iterator[Served]:
    """The dashboard of a folder of runs, while it lives; `cwd` is where it writes exports."""
    port = unused_port()
    quiet = subprocess.DEVNULL
    cwd = cwd or root.resolve().parent
    named = os.path.relpath(root.resolve(), cwd)  # as pages show it in their commands
    arguments = [*ATTNAS, "dashboard", named, "--port", str(port)]
    process = subprocess.Popen(
        arguments, stdout=quiet, stderr=quiet, start_new_session=True, cwd=cwd
    )
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.2)
        yield Served(address, process)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser in a profile of its own."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def settle(page: Page, quiet: float = 1.0) -> float:
    """Wait until nothing has been busy for so many seconds; when it last was (monotonic clock)."""
    end, since = time.monotonic() + PATIENCE, time.monotonic()
    while time.monotonic() - since < quiet:
        if not page.evaluate(SETTLED):
            since = time.monotonic()
        if time.monotonic() > end:
            raise TimeoutError(f"{page.url} is still busy")
        page.wait_for_timeout(25)
    return since

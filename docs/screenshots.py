"""Takes the pictures of the dashboard for the documentation, with Chromium and chromedriver.

    python docs/screenshots.py RUNS_ROOT [--run NAME] [--to docs/images]

Needs `chromium` and `chromedriver` on the path and nothing from a package index: the WebDriver
protocol is JSON over HTTP.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from dashboard.launch import command

FLAGS = (
    "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync hide-scrollbars"
)
PATIENCE = 40.0  # seconds until a page must have drawn itself
SETTLED = """
const marks = '[data-testid="stStatusWidget"], [data-stale="true"], .stSkeleton';
const busy = document.querySelector(marks);
return !busy && document.querySelectorAll('[data-testid="stMain"] h2').length > 0;
"""
HEIGHT = """
const main = document.querySelector('[data-testid="stMainBlockContainer"]');
return main ? Math.ceil(main.getBoundingClientRect().height) : 0;
"""


class Browser:
    """One headless Chromium, driven through chromedriver."""

    def __init__(self, driver: str, *, dark: bool) -> None:
        self.driver = driver
        flags = [f"--{flag}" for flag in FLAGS.split()]
        if dark:
            flags.append("--blink-settings=preferredColorScheme=0")
        binary = shutil.which("chromium") or shutil.which("chromium-browser")
        options = {"args": flags} | ({"binary": binary} if binary else {})
        wanted = {"alwaysMatch": {"goog:chromeOptions": options}}
        session = call("POST", f"{driver}/session", {"capabilities": wanted})["sessionId"]
        self.session = f"{driver}/session/{session}"

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a piece of JavaScript."""
        body = {"script": script, "args": list(arguments)}
        return call("POST", f"{self.session}/execute/sync", body)

    def resize(self, width: int, height: int) -> None:
        """The size of what is seen, without the window's own frame."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        body = {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}
        call("POST", f"{self.session}/goog/cdp/execute", body)

    def open(self, url: str) -> None:
        """Go there, and wait until the page has drawn itself."""
        call("POST", f"{self.session}/url", {"url": url})
        self.settle()

    def settle(self, quiet: float = 2.0) -> None:
        """Wait until nothing has been busy for a while."""
        end = time.monotonic() + PATIENCE
        since = time.monotonic()
        while time.monotonic() - since < quiet:
            if not self.run(SETTLED):
                since = time.monotonic()
            if time.monotonic() > end:
                raise TimeoutError("the page is still busy")
            time.sleep(0.1)

    def picture(self, file: Path) -> None:
        """What is seen, as a PNG."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(call("GET", f"{self.session}/screenshot")))

    def close(self) -> None:
        """End the browser."""
        call("DELETE", self.session)


def call(method: str, url: str, body: Any = None) -> Any:
    """One WebDriver command."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE + 20) as reply:
            return json.load(reply)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode()[:500]) from None


def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(arguments: list[str], port: int, health: str) -> Iterator[str]:
    """A server's address while it lives."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(address + health, timeout=2).close()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def browser(*, dark: bool) -> Iterator[Browser]:
    """A browser in a profile of its own."""
    port = unused_port()
    with tempfile.TemporaryDirectory() as home:
        driver = shutil.which("chromedriver") or "chromedriver"
        arguments = ["env", f"HOME={home}", driver, f"--port={port}"]
        with serving(arguments, port, "/status") as address:
            opened = Browser(address, dark=dark)
            try:
                yield opened
            finally:
                opened.close()


def take(root: Path, run: str, to: Path, widths: dict[str, int], pages: dict[str, str]) -> None:
    """Every page in both themes and at every width, as tall as it is."""
    port = unused_port()
    with serving(command(root, port), port, "/_stcore/health") as address:
        for theme in ("light", "dark"):
            with browser(dark=theme == "dark") as seen:
                for (page, path), (size, width) in (
                    (p, w) for p in pages.items() for w in widths.items()
                ):
                    seen.resize(width, 1000)
                    seen.open(f"{address}/{path}?{urlencode({'run': run})}")
                    seen.resize(width, max(700, seen.run(HEIGHT)))
                    seen.settle()
                    file = to / f"{page}-{theme}{size}.png"
                    seen.picture(file)
                    print(file)


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(description="Take the pictures of the dashboard.")
    parser.add_argument("root", type=Path, help="the folder of the runs")
    parser.add_argument("--run", required=True, help="the run to show")
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    parser.add_argument("--narrow", action="store_true", help="also at a width of 900 pixels")
    asked = parser.parse_args()
    widths = {"": 1440} | ({"-narrow": 900} if asked.narrow else {})
    take(asked.root, asked.run, asked.to, widths, {"pareto": "", "design": "design"})


if __name__ == "__main__":
    main()

"""Takes pictures of the dashboard's pages with Chromium, for the documentation and for looking.

    python docs/screenshots.py RUNS_ROOT --run NAME [--to docs/images] [--pages overview,pareto]
        [--widths 1440,900] [--themes light,dark] [--query trial=3]

Needs `chromium` on the path and the package playwright. A picture is as tall as its page.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from playwright.sync_api import Browser, Page, sync_playwright

from dashboard.launch import command

PAGES = "overview,pareto,designs,parameters,trials,compare,timeline,export,runs"  # as in app.py
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
BUSY = '[data-testid="stStatusWidget"], [data-testid="stSkeleton"], [data-stale="true"]'
SETTLED = f"""() => !document.querySelector(`{BUSY}`)
  && document.querySelectorAll('[data-testid="stMain"] h2').length > 0"""
HEIGHT = """() => {
  const main = document.querySelector('[data-testid="stMainBlockContainer"]');
  return main ? Math.ceil(main.getBoundingClientRect().height) : 0;
}"""


def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """The dashboard's address while it lives."""
    port = unused_port()
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command(root, port), stdout=quiet, stderr=quiet)
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
        yield address
    finally:
        process.terminate()
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


def settle(page: Page, quiet: float = 1.0) -> None:
    """Wait until nothing has been busy for a while."""
    end, since = time.monotonic() + PATIENCE, time.monotonic()
    while time.monotonic() - since < quiet:
        if not page.evaluate(SETTLED):
            since = time.monotonic()
        if time.monotonic() > end:
            raise TimeoutError(f"{page.url} is still busy")
        page.wait_for_timeout(100)


def take(page: Page, url: str, width: int, file: Path) -> None:
    """One page as it is seen, whole."""
    page.set_viewport_size({"width": width, "height": 1000})
    page.goto(url)
    settle(page)
    page.set_viewport_size({"width": width, "height": max(700, page.evaluate(HEIGHT))})
    settle(page)
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file)
    print(file, flush=True)


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(description="Take pictures of the dashboard.")
    parser.add_argument("root", type=Path, help="the folder of the runs")
    parser.add_argument("--run", required=True, help="the run to show")
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    parser.add_argument("--pages", default=PAGES)
    parser.add_argument("--widths", default="1440")
    parser.add_argument("--themes", default="light,dark")
    parser.add_argument("--query", default="", help="more of the URL, such as trial=3&x=parameters")
    asked = parser.parse_args()
    query = urlencode({"run": asked.run} | dict(parse_qsl(asked.query)))
    widths = [int(width) for width in asked.widths.split(",")]
    with serving(asked.root) as address, chromium() as browser:
        for theme in asked.themes.split(","):
            page = browser.new_page(color_scheme=theme)
            for name in asked.pages.split(","):
                for width in widths:
                    size = "" if width == widths[0] else f"-{width}"
                    take(
                        page,
                        f"{address}/{name}?{query}",
                        width,
                        asked.to / f"{name}-{theme}{size}.png",
                    )


if __name__ == "__main__":
    main()

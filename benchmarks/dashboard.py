"""The dashboard in a browser: seconds until a page has drawn itself, and until a filter has.

    python benchmarks/dashboard.py [--trials 1000 100000] [--times 3]

About fifteen minutes. Runs are made up (benchmarks/made_runs.py). A first view is a fresh server
and a fresh browser, nothing cached; the clock stops when the last chart was drawn. It is timed at
once, the moment that the server answers, and after four seconds, in which the server reads the
newest run by itself. A second view is another fresh browser. A filter is a condition, typed; it
counts from the key press until the page is drawn anew. Memory is the server's after all pages.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from browsing import PAGES, Served, chromium, serving, settle
from made_runs import make_run
from playwright.sync_api import Browser, Page

FILTERED = ("pareto", "trials", "parameters")  # pages that filters change
HEAD_START_S = 4.0
CONDITIONS = ("accuracy > 0.5", "accuracy > 0.51", "accuracy > 0.52")


def main() -> None:
    """Make the runs, look at them, print a table for each."""
    parser = argparse.ArgumentParser(description="The dashboard in a browser.")
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--times", type=int, default=3, help="each is the median of so many")
    parser.add_argument("--pages", nargs="+", choices=PAGES, default=PAGES)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for trials in asked.trials:
            root = Path(folder) / str(trials)
            make_run(root / "made", trials)
            print(f"{trials:,} trials: median (and worst) seconds of {asked.times}")
            heads = ("first, at once", "first, after 4 s", "second view", "a filter")
            print(f"{'page':>12}", *(f"{head:>16}" for head in heads))
            for name in asked.pages:
                found = [look(root, name, browser) for _ in range(asked.times)]
                columns = ([s for each in found for s in each[kind]] for kind in range(4))
                print(f"{name:>12}", *map(in_words, columns), flush=True)
            memory = all_pages(root, browser)
            print(f"memory of the server after all pages, twice: {memory:,.0f} MB")


def look(root: Path, name: str, browser: Browser) -> tuple[list[float], ...]:
    """Seconds of a first view at once and after a while, of a second view, and of filters."""
    with serving(root) as served:
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        at_once = opened(page, served, name)
        page.close()
    with serving(root) as served:
        time.sleep(HEAD_START_S)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        first = opened(page, served, name)
        page.close()
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        second = opened(page, served, name)
        filters = []
        if name in FILTERED:
            page.get_by_text("Keep only").first.click()
            page.wait_for_timeout(500)
            filters = [filtered(page, text) for text in CONDITIONS]
        page.close()
    return [at_once], [first], [second], filters


def opened(page: Page, served: Served, name: str) -> float:
    """From asking for the page until it is drawn."""
    start = time.monotonic()
    page.goto(served.url(name, run="made"))
    return settle(page, quiet=1.5) - start


def filtered(page: Page, condition: str) -> float:
    """From the key press until the page is drawn anew."""
    field = page.get_by_role("textbox", name="Condition")
    field.fill(condition)
    start = time.monotonic()
    field.press("Enter")
    return settle(page, quiet=1.0) - start


def all_pages(root: Path, browser: Browser) -> float:
    """The server's megabytes after every page was looked at in two sessions."""
    with serving(root) as served:
        for _ in range(2):
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            for name in PAGES:
                opened(page, served, name)
            page.close()
        return served.megabytes


def in_words(seconds: list[float]) -> str:
    """`1.32 (1.50)`, as wide as a column."""
    text = f"{statistics.median(seconds):.2f} ({max(seconds):.2f})" if seconds else ""
    return f"{text:>16}"


if __name__ == "__main__":
    main()

"""Pictures of the dashboard's pages in Chromium, for the documentation and for looking.

    python benchmarks/screenshots.py RUNS_ROOT --run NAME [--to docs/images]
        [--pages overview,pareto] [--widths 1440,900] [--themes light,dark] [--query trial=3]

A picture is as tall as its page. Needs `chromium` on the path and the package playwright.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from urllib.parse import parse_qsl

from browsing import PAGES, chromium, serving, settle
from playwright.sync_api import Page

HEIGHT = """() => {
  const main = document.querySelector('[data-testid="stMainBlockContainer"]');
  return main ? Math.ceil(main.getBoundingClientRect().height) : 0;
}"""


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
    parser.add_argument("--pages", default=",".join(PAGES))
    parser.add_argument("--widths", default="1440")
    parser.add_argument("--themes", default="light,dark")
    parser.add_argument("--query", default="", help="more of the URL, such as trial=3&x=parameters")
    asked = parser.parse_args()
    query = {"run": asked.run} | dict(parse_qsl(asked.query))
    widths = [int(width) for width in asked.widths.split(",")]
    with serving(asked.root) as served, chromium() as browser:
        for theme in asked.themes.split(","):
            page = browser.new_page(color_scheme=theme)
            for name in asked.pages.split(","):
                for width in widths:
                    size = "" if width == widths[0] else f"-{width}"
                    take(
                        page,
                        served.url(name, **query),
                        width,
                        asked.to / f"{name}-{theme}{size}.png",
                    )


if __name__ == "__main__":
    main()

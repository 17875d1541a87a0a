"""The dashboard in a real browser: a choice on one page holds on the others and in a link."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from dashboard_examples import make_run, some_rows, trial_row
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.browsing import Served, chromium, serving, settle
from results import RunWriter
from search_space import Dense, Design, Heads, LayerDesign, SlidingWindow

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("chromium") or shutil.which("chromium-browser")),
        reason="there is no Chromium on this machine",
    ),
]
SEARCH = """
space:
  width: 16
  depth: 1
  context: 64
  layer: {query_heads: 2, kv_heads: 2, head_dim: 8, pattern: {choice: [dense, {sliding-window: {window: 8}}]}}
task: {recall: {batch: 4, held_out: 16}}
training: {steps: 2}
measuring: {prefill: [32], decode: [32], repeat: {least: 6, most: 6}}
objectives: {accuracy: max, kv_cache_bytes: min}
search: {trials: 2, presets: [mha, sliding-window], preset_seeds: 1, finalists: 0}
engine: {name: serial}
"""  # noqa: E501
expect.set_options(timeout=20_000)  # milliseconds; the machine may be busy with other tests
LOADED = """
import sys, torch
sys.path.insert(0, sys.argv[1])
import model
print(model.load().generate(torch.tensor([[1, 2, 3]]), 4).shape)
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a real search, and two whose rows are known."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "trained.yaml").write_text(SEARCH)
    code = "from attnas.cli import main; main()"
    search = [sys.executable, "-c", code, "search", "trained.yaml"]
    done = subprocess.run(search, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    make_run(folder / "runs" / "lm", some_rows(20))
    make_run(folder / "runs" / "live", some_rows(8))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def served(workplace: Path) -> Iterator[Served]:
    with serving(workplace / "runs", cwd=workplace) as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    yield page
    page.close()


def query(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def point(page: Page, trial: int) -> Locator:
    """The mark of a trial's design in a chart."""
    return page.locator(
        f'[data-testid="stVegaLiteChart"] path[aria-label*="Trial: {trial};"]'
    ).first


def go(page: Page, name: str) -> None:
    """Another page by its link in the sidebar."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=20_000)
    settle(page)


def test_a_trial_chosen_on_pareto_is_the_trial_everywhere(
    served: Served, page: Page, browser: Browser
) -> None:
    page.goto(served.url("pareto", run="lm"))
    settle(page)
    point(page, 9).click(force=True)
    settle(page)
    assert query(page)["trial"] == "9"
    expect(page.get_by_text("Trial 9,").first).to_be_visible()
    go(page, "Trials")
    expect(page.get_by_text("Trial 9,").first).to_be_visible()
    go(page, "Designs")
    expect(page.get_by_label("Trial", exact=True)).to_have_value("9")
    go(page, "Export")
    expect(page.get_by_text("--pick=9").first).to_be_visible()
    colleague = browser.new_page()
    colleague.goto(page.url)
    settle(colleague)
    expect(colleague.get_by_text("--pick=9").first).to_be_visible()
    go(colleague, "Pareto")
    expect(colleague.get_by_text("Trial 9,").first).to_be_visible()
    colleague.close()


def ticks(page: Page) -> list[str]:
    """What the axes of the first chart say."""
    chart = page.get_by_test_id("stVegaLiteChart").first
    return chart.locator(".role-axis-label text").all_inner_texts()


def test_a_live_run_keeps_zoom_and_selection(served: Served, workplace: Path, page: Page) -> None:
    def far(trial: int) -> None:
        """A design whose point widens both axes."""
        layer = LayerDesign(Heads.multi_query(4, dim=16), Dense())
        local = LayerDesign(Heads.multi_query(4, dim=16), SlidingWindow(trial))
        writer.append(trial_row(trial, "strategy:evolution", Design(64, 256, (local, layer))))
        point(page, trial).wait_for(state="attached", timeout=30_000)
        settle(page)

    with RunWriter.open(workplace / "runs" / "live") as writer:
        writer.heartbeat({"state": "searching", "trials_done": 8, "trials_budget": 99})
        page.goto(served.url("pareto", run="live", trial="6"))
        settle(page)
        before = ticks(page)
        far(60)
        assert ticks(page) != before  # where nobody zoomed, all designs are shown
        point(page, 6).hover(force=True)
        page.mouse.wheel(0, -400)
        time.sleep(1.0)
        zoomed = ticks(page)
        assert zoomed != before
        far(90)
        assert ticks(page) == zoomed
        assert query(page)["trial"] == "6"
        expect(page.get_by_text("Trial 6,").first).to_be_visible()


def test_a_model_exported_from_the_page_is_loaded(
    served: Served, workplace: Path, page: Page
) -> None:
    page.goto(served.url("export", run="trained", trial="1"))
    settle(page)
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.get_by_text("wrote ").first).to_be_visible(timeout=90_000)
    folder = next((workplace / "out").iterdir())
    load = [sys.executable, "-I", "-c", LOADED, str(folder)]
    done = subprocess.run(load, cwd="/", capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "torch.Size([1, 7])", done.stderr

"""The frame of the dashboard, and every page on empty, tiny, hostile, damaged and lost runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from dashboard_examples import (
    HOSTILE,
    make_run,
    page_alone,
    said,
    some_rows,
    trial_row,
    whole_app,
)

from dashboard import app_pages
from dashboard.loading import open_run
from results import RunWriter, TrialRow
from search_space import preset

PAGES = sorted(module.name for module in iter_modules(app_pages.__path__))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("count", [0, 1, 20])
def test_every_page_shows_any_number_of_rows(root: Path, name: str, count: int) -> None:
    make_run(root / "lm", some_rows(count))
    app = page_alone(name, root / "lm")
    assert app.header[0].value == name.capitalize()
    assert "attnas " in said(app)  # the command that does the same


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("trial", ["999", "-1", "x", "9" * 40, HOSTILE])
def test_a_link_to_no_trial_is_answered(root: Path, name: str, trial: str) -> None:
    make_run(root / "lm", some_rows(20))
    words = said(
        page_alone(name, root / "lm", trial=trial, trials=trial, keep=trial, columns=trial)
    )
    if trial == "999" and name in ("pareto", "designs", "trials", "export"):
        assert "This run has no trial 999" in words


@pytest.mark.parametrize("name", PAGES)
def test_hostile_names_are_text(root: Path, name: str) -> None:
    row = trial_row(5, HOSTILE, preset("gqa", width=64, depth=2, context=256, heads=4, dim=16))
    failed = TrialRow(
        **{**row.to_plain(), "trial": 6, "seed": 1, "state": "failed", "reason": HOSTILE}
    )
    unknown = TrialRow(**{**row.to_plain(), "trial": 7, "key": HOSTILE, "design": HOSTILE})
    run = root / "[a](b)*c*"
    make_run(run, [*some_rows(5), row, failed, unknown])
    status = {"state": "searching", "trials_done": 3, "trials_budget": 12, "at": time.time()}
    status["running"] = [{"trial": 3, "origin": HOSTILE, "since": time.time() - 7}]
    (run / "status.json").write_text(json.dumps(status))
    for trial in ("5", "6", "7"):
        app = page_alone(name, run, trial=trial, trials="5-7", where=HOSTILE, find=HOSTILE)
        assert not app.exception
        formatted = [*app.markdown, *app.caption, *app.header, *app.subheader]
        assert not [e for e in formatted if "alert(1)" in e.value or "(b)" in e.value]


@pytest.mark.parametrize("name", PAGES)
def test_a_run_that_is_gone_is_named(root: Path, name: str) -> None:
    make_run(root / "lm", some_rows(20))
    make_run(root / "other", some_rows(1))
    app = page_alone(name, root / "lm")
    shutil.rmtree(root / "lm")
    app.run()
    words = said(app)
    assert name == "runs" or "is not there any more" in words


@pytest.mark.parametrize("name", PAGES)
def test_a_newer_or_damaged_run_shows_the_sentence(root: Path, name: str) -> None:
    make_run(root / "lm", some_rows(20))
    file = root / "lm" / "run.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps(description | {"format": 99}))
    newer = "run format 99; this attnas reads format 1; upgrade attnas"
    assert newer in said(page_alone(name, root / "lm"))
    file.write_text(json.dumps({k: v for k, v in description.items() if k != "objectives"}))
    assert "run.json is damaged: it lacks objectives" in said(page_alone(name, root / "lm"))
    file.write_text(json.dumps(description))
    (root / "lm" / "MANIFEST").write_bytes(b"torn")
    assert "MANIFEST is damaged; attnas doctor" in said(page_alone(name, root / "lm"))


def test_a_trial_between_rungs_is_on_the_way(root: Path) -> None:
    *ended, last = some_rows(5)
    make_run(root / "lm", [*ended, replace(last, state="passed")])
    assert "5 trials: 4 complete, 1 on the way." in said(page_alone("overview", root / "lm"))


def test_another_run_forgets_the_trial(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lm", "other"):
        make_run(root / name, some_rows(20))
    app = whole_app(root, monkeypatch, run="lm", trial="7")
    app.selectbox(key="run_picker").select("other").run()
    assert app.query_params["run"] == "other"
    assert "trial" not in app.query_params


def test_no_runs_says_how_to_start_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = said(whole_app(root, monkeypatch))
    assert f"No runs under {root} yet. Start one:" in words
    assert "attnas search configs/lm.yaml" in words


def test_a_run_that_was_deleted_while_open(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(root / "lm", some_rows(20))
    make_run(root / "other", some_rows(1))
    app = whole_app(root, monkeypatch, run="lm")
    shutil.rmtree(root / "lm")
    assert "There is no run lm" in said(app.run())


def test_the_last_rows_of_a_large_run_are_seen_once_its_driver_has_ended(root: Path) -> None:
    """While it is alive, what takes long to load may be a moment old."""
    first, second, last = some_rows(3)
    make_run(root / "lm", [first])
    status = {"state": "searching", "at": time.time(), "trials_done": 1, "trials_budget": 3}
    (root / "lm" / "status.json").write_text(json.dumps(status))
    open_run(root / "lm").seconds = 60.0
    with RunWriter.open(root / "lm") as writer:
        writer.append(second)
        assert len(open_run(root / "lm").frame) == 1
        writer.append(last)
    assert len(open_run(root / "lm").frame) == 3


def test_the_sidebar_says_what_the_driver_does(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(root / "lm", some_rows(3))
    status = {"state": "searching", "trials_done": 3, "trials_budget": 12, "at": time.time()}
    status["running"] = [{"trial": 3, "origin": HOSTILE, "since": time.time() - 7}]
    nothing: dict[str, Any] = {"state": 3, "trials_done": "x", "running": [1], "at": "y"}
    for extra, has_writer, expected in (
        ({}, True, "Live"),
        ({"at": time.time() + 3600}, True, "Live"),  # the clock was set back
        ({"at": time.time() - 40}, True, "Live"),
        ({}, False, "Driver silent"),
        ({"state": "finished"}, False, "Finished"),
        (nothing, False, "No driver has reported"),
    ):
        (root / "lm" / "status.json").write_text(json.dumps(status | extra))
        with RunWriter.open(root / "lm") if has_writer else nullcontext():
            assert expected in said(whole_app(root, monkeypatch))
    (root / "lm" / "status.json").write_text("[1]")
    assert "No driver has reported" in said(whole_app(root, monkeypatch))


def test_the_dashboard_loads_neither_torch_nor_ray() -> None:
    names = ", ".join(f"dashboard.app_pages.{name}" for name in PAGES)
    code = (
        f"import sys; import {names}, dashboard.launch; "
        "print([m for m in ('torch', 'ray', 'evaluator', 'controller') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

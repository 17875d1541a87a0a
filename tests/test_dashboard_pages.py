"""Both pages are driven on real runs: empty, tiny, ordinary, hostile, damaged and gone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import app_pages
from results import RunWriter, TrialRow
from search_space import Dense, Design, Heads, LayerDesign, SlidingWindow, preset

OBJECTIVES = {"accuracy": "max", "prefill_2048_ratio": "min", "kv_cache_bytes": "min"}
HOSTILE = (
    "<script>alert(1)</script> **bold** [x](javascript:y) $\\frac{1}{2}$ =1+1 :red[z] \u202eabc"
)
APP = Path(app_pages.__file__).parents[1] / "app.py"


def trial_row(trial: int, origin: str, design: Design, seed: int = 0) -> TrialRow:
    accuracy = 0.4 + 0.01 * trial + 0.002 * seed
    return TrialRow(
        trial=trial,
        seed=seed,
        key=design.key,
        design=design.to_json(),
        origin=origin,
        state="complete",
        started_at=trial,
        finished_at=trial + 1,
        worker="w",
        metrics={
            "accuracy": accuracy,
            "prefill_2048_ratio": 0.5 + 0.02 * trial,
            "prefill_2048_ratio_low": 0.49 + 0.02 * trial,
            "prefill_2048_ratio_high": 0.51 + 0.02 * trial,
            "kv_cache_bytes": 1e6 + 1e4 * trial,
            "parameters": 1e6,
        },
        curve=[(1.0, 3.0), (2.0, 2.0 + 0.01 * trial)],
    )


def some_rows(count: int) -> Iterator[TrialRow]:
    mha = preset("mha", width=64, depth=2, context=256, heads=4, dim=16)
    for trial in range(count):
        if trial < 3:
            yield trial_row(trial, "preset:mha", mha, seed=trial)
        else:
            local = LayerDesign(Heads.grouped(4, kv=2, dim=16), SlidingWindow(4 + trial))
            dense = LayerDesign(Heads.multi_query(4, dim=16), Dense())
            yield trial_row(
                trial,
                "random" if trial % 2 else "strategy:evolution",
                Design(64, 256, (local, dense)),
            )


def make_run(path: Path, rows: Iterator[TrialRow] | list[TrialRow]) -> None:
    with RunWriter.create(
        path,
        config={},
        config_text="",
        objectives=OBJECTIVES,
        provenance={},
        name=path.name,
    ) as writer:
        for row in rows:
            writer.append(row)


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def pareto(root: Path, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    """The app as `streamlit run` starts it, at its first page."""
    monkeypatch.setattr(sys, "argv", ["app.py", str(root)])
    app = AppTest.from_file(str(APP), default_timeout=20)
    app.query_params.update(query)
    return app.run()


def design(root: Path, name: str, **query: str) -> AppTest:
    """The Design page by itself: AppTest switches only between pages that are files."""

    def script(path: str) -> None:
        from pathlib import Path

        from dashboard.app_pages import design

        design.page(Path(path))

    app = AppTest.from_function(script, default_timeout=20, kwargs={"path": str(root / name)})
    app.query_params.update(query)
    return app.run()


def words(app: AppTest) -> str:
    """Everything a page says."""
    kinds = (app.text, app.caption, app.markdown, app.header, app.subheader, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


@pytest.mark.parametrize("count", [0, 1, 20])
def test_both_pages_show_any_number_of_rows(
    root: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    make_run(root / "lm", some_rows(count))
    for app in (pareto(root, monkeypatch), design(root, "lm")):
        assert not app.exception
        assert ("No trial has finished yet" in words(app)) == (count == 0)
    if count == 20:
        said = words(pareto(root, monkeypatch))
        assert "20 trials: 20 complete." in said
        assert "it takes 20 designs of each, but there are 8 searched, 9 random" in said
        assert "attnas front runs/lm" in said


def test_a_trial_between_rungs_is_on_the_way(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    *ended, last = some_rows(5)
    make_run(root / "lm", [*ended, replace(last, state="passed")])
    assert "5 trials: 4 complete, 1 on the way." in words(pareto(root, monkeypatch))


def test_a_link_selects_the_trial_on_both_pages(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(root / "lm", some_rows(20))
    make_run(root / "other", some_rows(1))
    app = pareto(root, monkeypatch, run="lm", trial="7", x="parameters", y="kv_cache_bytes")
    assert "**Trial 7**" in words(app)
    picked = {box.label: box.value for box in app.selectbox}
    assert picked == {
        "Run": "lm",
        "Vertical axis": "kv_cache_bytes",
        "Horizontal axis": "parameters",
    }
    page = design(root, "lm", trial="7")
    assert page.selectbox[0].value == 7
    assert "attnas export runs/lm --pick 7 --to out/" in words(page)
    page.selectbox[0].select(9).run()
    assert page.query_params["trial"] == "9"
    assert not page.exception


def test_another_run_forgets_the_trial(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lm", "other"):
        make_run(root / name, some_rows(20))
    app = pareto(root, monkeypatch, run="lm", trial="7")
    app.selectbox(key="run_picker").select("other").run()
    assert app.query_params["run"] == "other"
    assert "trial" not in app.query_params


@pytest.mark.parametrize("trial", ["999", "-1", "x", "9" * 40, HOSTILE])
def test_a_link_to_no_trial_is_answered(
    root: Path, monkeypatch: pytest.MonkeyPatch, trial: str
) -> None:
    make_run(root / "lm", some_rows(20))
    app, page = pareto(root, monkeypatch, trial=trial), design(root, "lm", trial=trial)
    assert not app.exception
    assert not page.exception
    if trial == "999":
        assert "This run has no trial 999" in words(app)
        assert "This run has no trial 999" in words(page)


def test_hostile_names_are_text(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = trial_row(5, HOSTILE, preset("gqa", width=64, depth=2, context=256, heads=4, dim=16))
    failed = TrialRow(
        **{**row.to_plain(), "trial": 6, "seed": 1, "state": "failed", "reason": HOSTILE}
    )
    unknown = TrialRow(**{**row.to_plain(), "trial": 7, "key": HOSTILE, "design": HOSTILE})
    make_run(root / "[a](b)*c*", [*some_rows(5), row, failed, unknown])
    for trial in ("5", "6", "7"):
        for app in (pareto(root, monkeypatch, trial=trial), design(root, "[a](b)*c*", trial=trial)):
            assert not app.exception
            formatted = [*app.markdown, *app.caption, *app.header, *app.subheader]
            assert not [e for e in formatted if "alert(1)" in e.value or "(b)" in e.value]
    assert HOSTILE in "".join(
        element.value for element in pareto(root, monkeypatch, trial="6").text
    )


def test_no_runs_says_how_to_start_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = pareto(root, monkeypatch)
    assert f"No runs under {root} yet. Start one:" in words(app)
    assert "attnas search configs/lm.yaml" in words(app)


def test_a_run_that_is_gone_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(root / "lm", some_rows(20))
    make_run(root / "other", some_rows(1))
    app = pareto(root, monkeypatch, run="lm")
    shutil.rmtree(root / "lm")
    app.run()
    assert not app.exception
    assert "There is no run lm" in words(app)
    assert not design(root, "lm").exception
    assert "is not there any more" in words(design(root, "lm"))


def test_a_newer_or_damaged_run_shows_the_sentence(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(root / "lm", some_rows(20))
    file = root / "lm" / "run.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps(description | {"format": 99}))
    assert "run format 99; this attnas reads format 1; upgrade attnas" in words(
        pareto(root, monkeypatch)
    )
    file.write_text(json.dumps({k: v for k, v in description.items() if k != "objectives"}))
    assert "run.json is damaged: it lacks objectives" in words(pareto(root, monkeypatch))
    file.write_text(json.dumps(description))
    (root / "lm" / "MANIFEST").write_bytes(b"torn")
    app = pareto(root, monkeypatch)
    assert not app.exception
    assert "MANIFEST is damaged; attnas doctor" in words(app)


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
            app = pareto(root, monkeypatch)
        assert not app.exception
        assert expected in words(app)
    (root / "lm" / "status.json").write_text("[1]")
    assert "No driver has reported" in words(pareto(root, monkeypatch))


def test_the_dashboard_loads_neither_torch_nor_ray() -> None:
    code = (
        "import sys; import dashboard.app_pages.pareto, dashboard.app_pages.design, "
        "dashboard.launch; "
        "print([m for m in ('torch', 'ray', 'evaluator', 'controller') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

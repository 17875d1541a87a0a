"""What tests of the dashboard share: runs with known rows, and pages driven without a browser."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from results import RunWriter, TrialRow
from search_space import Dense, Design, Heads, LayerDesign, SlidingWindow, preset

OBJECTIVES = {"accuracy": "max", "prefill_2048_ratio": "min", "kv_cache_bytes": "min"}
HOSTILE = (
    "<script>alert(1)</script> **bold** [x](javascript:y) $\\frac{1}{2}$ =1+1 :red[z] \u202eabc"
)
APP = Path(dashboard.__file__).with_name("app.py")


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


def make_run(path: Path, rows: Iterable[TrialRow]) -> None:
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


def whole_app(root: Path, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    """The app as `streamlit run` starts it, at its first page."""
    monkeypatch.setattr(sys, "argv", ["app.py", str(root)])
    app = AppTest.from_file(str(APP), default_timeout=20)
    app.query_params.update(query)
    return app.run()


def page_alone(name: str, run: Path, **query: str) -> AppTest:
    """One page by itself: AppTest switches only between pages that are files."""

    def script(name: str, path: str) -> None:
        from importlib import import_module
        from pathlib import Path

        from dashboard.loading import runs_under
        from dashboard.view import View

        root = Path(path).parent
        page = import_module(f"dashboard.app_pages.{name}")
        page.page(View(root, Path(path), runs_under(root)))

    kwargs = {"name": name, "path": str(run)}
    app = AppTest.from_function(script, default_timeout=20, kwargs=kwargs)
    app.query_params.update(query)
    return app.run()


def said(app: AppTest) -> str:
    """Everything a page says."""
    assert not app.exception
    kinds = (app.text, app.caption, app.markdown, app.header, app.subheader, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)

"""The Pareto page."""

from __future__ import annotations

from pathlib import Path

from dashboard_examples import make_run, page_alone, said, some_rows


def test_a_link_selects_trial_and_axes(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", some_rows(20))
    app = page_alone("pareto", tmp_path / "lm", trial="7", x="parameters", y="kv_cache_bytes")
    assert "**Trial 7**" in said(app)
    picked = {box.label: box.value for box in app.selectbox}
    assert picked["Vertical axis"] == "kv_cache_bytes"
    assert picked["Horizontal axis"] == "parameters"

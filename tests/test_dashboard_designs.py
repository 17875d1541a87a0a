"""The Designs page."""

from __future__ import annotations

from pathlib import Path

from dashboard_examples import make_run, page_alone, said, some_rows


def test_a_link_selects_the_trial(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", some_rows(20))
    page = page_alone("designs", tmp_path / "lm", trial="7")
    assert page.selectbox[0].value == 7
    assert "--pick 7 --to out/" in said(page)
    page.selectbox[0].select(9).run()
    assert page.query_params["trial"] == "9"
    assert not page.exception

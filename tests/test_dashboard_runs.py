"""Runs: every run of a folder by its small files, and which one is looked at."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from dashboard_examples import HOSTILE, make_run, page_alone, said, some_rows, whole_app
from streamlit.testing.v1 import AppTest

from dashboard.frames.run_list import Looked, facts_of, look_up, newest, run_table
from dashboard.loading import runs_under
from results import RunWriter
from results.folder import checksum_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index, name in enumerate(("zeta", "alpha", "mid")):
        make_run(tmp_path / name, some_rows(3 + index))
        describe(tmp_path / name, created_at=1e9 + index, config={"task": {"lm": {}}})
    return tmp_path


def describe(run: Path, **fields: object) -> None:
    plain = json.loads((run / "run.json").read_text()) | fields
    (run / "run.json").write_text(json.dumps(plain | {"sha256": checksum_of(plain)}))


def table_of(root: Path, find: str = "", viewed: str = "") -> list[str]:
    facts = facts_of(runs_under(root))
    return run_table(facts, Looked(), find, viewed)["Run"].tolist()


def test_runs_are_listed_from_the_newest_and_the_newest_is_the_default(root: Path) -> None:
    assert table_of(root) == ["mid", "alpha", "zeta"]
    assert newest(runs_under(root)) == "mid"
    describe(root / "zeta", created_at=2e9)
    assert table_of(root)[0] == "zeta"
    assert newest(runs_under(root)) == "zeta"


def test_a_damaged_run_hides_no_other(root: Path) -> None:
    (root / "alpha" / "MANIFEST").write_bytes(b"torn")
    (root / "mid" / "run.json").write_text("{")
    facts = {run.name: run for run in facts_of(runs_under(root))}
    assert facts["zeta"].problem is None
    assert "MANIFEST is damaged" in (facts["alpha"].problem or "")
    assert facts["alpha"].state == "Cannot be shown"
    words = said(page_alone("runs", root / "zeta"))
    assert "2 runs cannot be shown" in words
    assert "mid: " in words
    assert table_of(root) == ["zeta"]


def test_what_is_found_is_in_what_the_table_says(root: Path) -> None:
    describe(root / "alpha", config={"task": {"recall": {}}, "search": {"strategy": "grid"}})
    assert table_of(root, "recall") == ["alpha"]
    assert table_of(root, "GRID accuracy") == ["alpha"]
    assert table_of(root, "lm") == ["mid", "zeta"]
    assert table_of(root, "nowhere") == []
    app = page_alone("runs", root / "mid", seek="recall")
    assert "3 runs under" in said(app)
    assert "1 of them match" in said(app)


def test_best_values_and_sizes_are_looked_up_for_a_while_and_kept(root: Path) -> None:
    facts, looked = facts_of(runs_under(root)), Looked()
    assert look_up(facts, looked, seconds=-1) == 3
    assert look_up(facts, looked, seconds=60) == 0
    table = run_table(facts, looked, "", "mid").set_index("Run")
    assert table.loc["mid", "Best"] == "accuracy 0.440"
    assert table["Size"].min() > 0.001
    assert table.loc["mid", "In view"] == "●"
    before = looked.sizes[root / "mid"]
    assert look_up(facts, looked, seconds=-1) == 0
    with RunWriter.open(root / "mid") as writer:
        *_, last = some_rows(9)
        writer.append(last)
    assert look_up(facts_of(runs_under(root)), looked, seconds=60) == 0
    assert looked.sizes[root / "mid"] != before


def test_a_live_run_is_live_and_shows_its_progress(root: Path) -> None:
    status = {"state": "searching", "at": time.time(), "trials_done": 5, "trials_budget": 20}
    (root / "mid" / "status.json").write_text(json.dumps(status))
    with RunWriter.open(root / "mid"):
        facts = facts_of(runs_under(root))
        table = run_table(facts, Looked(), "", "").set_index("Run")
        assert table[["State", "Trials", "Budget", "Done"]].to_numpy()[0].tolist() == [
            "Live", 5, 20, 0.25,
        ]  # fmt: skip
        assert "3 runs under" in said(page_alone("runs", root / "mid"))
    words = said(page_alone("runs", root / "mid"))
    assert "none live" in words
    assert f"attnas status {root / 'mid'}" in words


def test_choosing_one_looks_at_it_and_several_stand_beside_it(root: Path) -> None:
    def script(root: str) -> None:
        from pathlib import Path

        from dashboard.app_pages.runs import _look_at
        from dashboard.loading import runs_under
        from dashboard.view import View

        view = View(Path(root), Path(root) / "mid", runs_under(Path(root)))
        _look_at(["alpha", "mid", "zeta"], view)

    app = AppTest.from_function(script, kwargs={"root": str(root)}).run()
    assert app.query_params["runs"] == "alpha,zeta"
    assert "run" not in app.query_params


def test_the_picker_starts_with_the_newest_run_and_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = whole_app(root, monkeypatch)
    assert app.query_params["run"] == "mid"
    describe(root / "zeta", created_at=3e9)
    app.run()
    assert app.query_params["run"] == "mid"


def test_two_hundred_runs_and_hostile_names(tmp_path: Path) -> None:
    make_run(tmp_path / "first", some_rows(1))
    for number in range(200):
        run = tmp_path / f"run-{number:03d}"
        run.mkdir()
        for part in ("run.json", "MANIFEST"):
            (run / part).write_bytes((tmp_path / "first" / part).read_bytes())
        for part in ("manifests", "journal"):
            (run / part).symlink_to(tmp_path / "first" / part)
    make_run(tmp_path / "[a](b)*c*", some_rows(1))
    describe(tmp_path / "[a](b)*c*", config={"task": {HOSTILE: 1}, "search": {"strategy": HOSTILE}})
    assert len(table_of(tmp_path)) == 202
    app = page_alone("runs", tmp_path / "first")
    assert not app.exception
    assert "202 runs under" in said(app)

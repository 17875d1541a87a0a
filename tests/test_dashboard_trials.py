"""The Trials page: search, order, pages, selection, curves, logs, notes, and the CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dashboard_examples import HOSTILE, make_run, page_alone, said, some_rows, trial_row
from streamlit.testing.v1 import AppTest

from dashboard.charts.trials import trial_curves_chart
from dashboard.frames import trial_table
from dashboard.frames.trial_details import (
    COLOURED,
    LOG_LINES,
    MOST_POINTS,
    histories,
    last_of_log,
    rung_table,
)
from dashboard.frames.trial_rows import Wanted, rows_of
from dashboard.frames.trial_table import columns_of, shown, unformulated
from dashboard.loading import Loaded, open_run
from dashboard.look import DARK, LIGHT
from dashboard.scope import Bound, Scope
from results import RunError, TrialRow
from results.annotations import Annotations, annotate, read_annotations
from search_space import preset

NOBODY = Annotations()


def rows_with_ends() -> Iterator[TrialRow]:
    """Twenty complete trials, one that failed, one on its way, one in three rungs."""
    yield from some_rows(20)
    plain = trial_row(
        20, "strategy:evolution", preset("gqa", width=64, depth=2, context=256, heads=4, dim=16)
    )
    other = trial_row(20, "random", preset("mqa", width=64, depth=2, context=256, heads=4, dim=16))
    yield replace(other, state="failed", reason="RuntimeError: out of memory", metrics={}, curve=())
    yield replace(plain, trial=21, state="passed", seed=1)
    for rung in range(3):
        yield replace(
            plain,
            trial=22,
            seed=2,
            rung=rung,
            state="complete" if rung == 2 else "passed",
            curve=[(float(t), 3.0 / t) for t in range(1, 4 * (rung + 1))],
        )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_run(tmp_path / "runs" / "lm", rows_with_ends())
    return tmp_path / "runs" / "lm"


@pytest.fixture
def loaded(run: Path) -> Loaded:
    return open_run(run)


def trials_of(
    loaded: Loaded, wanted: Wanted, notes: Annotations = NOBODY, sort: str = "trial"
) -> list[int]:
    name = sort.removeprefix("-")
    rows = rows_of(loaded, wanted, notes, name, sort.startswith("-"))
    return loaded.frame["trial"].to_numpy()[rows].tolist()


@pytest.mark.parametrize(
    ("find", "expected"),
    [
        ("7", [7]),
        ("preset:mha", [0, 1, 2]),
        ("MEMORY", [20]),
        ("out memory", [20]),
        ("window:9", [5]),
        ("window=10", [6]),
        ("strategy window:10", [6]),
        ("random window:10", []),
        ("nothing-like-it", []),
        ("remember", [4]),
        ("promis", [5]),
        ("[(", []),
    ],
)
def test_find_looks_in_every_text_of_a_trial(
    run: Path, loaded: Loaded, find: str, expected: list[int]
) -> None:
    annotate(run, 4, note="To remember")
    annotate(run, 5, tag=["promising"])
    assert trials_of(loaded, Wanted(find), read_annotations(run)) == expected


def test_filters_add_up(loaded: Loaded, run: Path) -> None:
    annotate(run, 20, tag=["odd"])
    notes = read_annotations(run)
    assert trials_of(loaded, Wanted(states=frozenset({"failed", "on the way"}))) == [20, 21]
    assert trials_of(loaded, Wanted(tag="odd"), notes) == [20]
    assert trials_of(loaded, Wanted(only=(3, 99))) == [3]
    above = Scope((Bound("accuracy", 0.55),))
    assert trials_of(loaded, Wanted(scope=above)) == [15, 16, 17, 18, 19, 21, 22]
    searched = Scope(sources=frozenset({"random"}))
    assert 20 in trials_of(loaded, Wanted(scope=searched))  # it has an origin, if no figures
    assert trials_of(loaded, Wanted("16", scope=Scope(above.bounds, "", searched.sources))) == []


def test_the_whole_run_is_sorted_and_what_lacks_a_value_is_last(loaded: Loaded) -> None:
    down = trials_of(loaded, Wanted(), sort="-accuracy")
    assert down[:3] == [21, 22, 19]
    assert down[-1] == 20
    assert trials_of(loaded, Wanted(), sort="accuracy")[-1] == 20
    by_origin = trials_of(loaded, Wanted(), sort="origin")
    assert by_origin[:3] == [0, 1, 2]
    assert by_origin[3] == 3
    assert len(by_origin) == 23


def test_cells_have_units_and_the_digits_that_noise_leaves(loaded: Loaded) -> None:
    columns = columns_of(loaded)
    rows = rows_of(loaded, Wanted(), NOBODY, "trial", False)
    values, texts = shown(loaded, rows, columns.default, columns, NOBODY)
    first = texts.iloc[0]
    assert first["accuracy"] == "0.40 ± 0.05"
    assert first["prefill_2048_ratio"] == "0.500 ± 0.010"
    assert first["kv_cache_bytes"] == "0.954"
    assert columns.heading("kv_cache_bytes") == "KV cache (MiB)"
    assert first["seeds"] == "3"
    assert texts.iloc[20][["outcome", "accuracy", "seeds", "front"]].tolist() == [
        "failed",
        "",
        "",
        "",
    ]
    assert set(texts["front"]) >= {"knee", "on the front"}
    assert values["accuracy"].iloc[3] == pytest.approx(0.43)


def test_the_csv_has_all_rows_and_no_formulas(tmp_path: Path) -> None:
    design = preset("gqa", width=64, depth=2, context=256, heads=4, dim=16)
    origins = ["=1+1", "+x", "-x", "@sum", "\tx", "\rx", HOSTILE, "plain"]
    rows = [replace(trial_row(n, name, design), seed=n) for n, name in enumerate(origins)]
    make_run(tmp_path / "lm", rows)
    annotate(tmp_path / "lm", 7, note="=cmd|' /C calc'!A0")
    loaded = open_run(tmp_path / "lm")
    names = ["trial", "origin", "note", "accuracy", "json"]
    order = rows_of(loaded, Wanted(), NOBODY, "trial", False)
    data = trial_table.csv(
        loaded, order, names, columns_of(loaded), read_annotations(tmp_path / "lm")
    )
    table = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert len(table) == len(origins)
    assert [row["origin"] for row in table[:6]] == [f"'{name}" for name in origins[:6]]
    assert table[6]["origin"] == HOSTILE
    assert table[7]["note"] == "'=cmd|' /C calc'!A0"
    assert float(table[0]["accuracy"]) == 0.4
    assert float(table[0]["accuracy_half_width"]) > 0
    assert table[0]["json"] == design.to_json()
    assert unformulated(pd.Series(["-1", None, "a=b"])).tolist() == ["'-1", "", "a=b"]


def test_histories_have_one_line_and_a_mark_for_each_rung(loaded: Loaded) -> None:
    history = histories(loaded, [22, 3, 20])
    assert history.has_rungs
    assert history.rungs.query("trial == 22")["tokens"].tolist() == [3, 7, 11]
    assert len(history.curves.query("trial == 22")) == 11
    assert history.curves.query("trial == 20").empty
    table = rung_table(loaded, history)
    assert table.query("Trial == 22")["State"].tolist() == ["went on", "went on", "complete"]
    assert not histories(loaded, [3]).has_rungs


def test_many_curves_are_thinned_and_eight_have_colours(tmp_path: Path) -> None:
    long = [(float(t), 5.0 / t) for t in range(1, 1001)]
    make_run(tmp_path / "lm", (replace(row, curve=long) for row in some_rows(20)))
    history = histories(open_run(tmp_path / "lm"), range(20))
    assert len(history.curves) <= MOST_POINTS + 40
    assert (history.curves.groupby("trial")["tokens"].max() == 1000).all()
    for colours in (LIGHT, DARK):
        spec = trial_curves_chart(history.curves, history.rungs, colours, log=True).to_dict()
        scales = spec["layer"][1]["encoding"]
        assert len(scales["color"]["scale"]["domain"]) == COLOURED
        pairs = zip(
            scales["color"]["scale"]["range"],
            map(tuple, scales["strokeDash"]["scale"]["range"]),
            strict=True,
        )
        assert len(set(pairs)) == COLOURED
        assert scales["y"]["scale"]["type"] == "log"


def test_the_end_of_a_log_is_plain_text(run: Path) -> None:
    path, nothing = last_of_log(run, 20, 0)
    assert nothing is None
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * 5_000_000 + b"\n\x1b[31mred\x1b[0m \x00\x07\xff end\nlast")
    text = last_of_log(run, 20, 0)[1]
    assert text is not None
    assert text.endswith("last")
    assert "red \ufffd\ufffd\ufffd end" in text
    assert len(text) < 70_000
    path.write_text("\n".join(map(str, range(1000))))
    text = last_of_log(run, 20, 0)[1]
    assert text is not None
    assert text.splitlines()[1:] == [str(n) for n in range(1000 - LOG_LINES, 1000)]


# The page


def table_of(app: AppTest) -> pd.DataFrame:
    return app.dataframe[0].value


def test_the_url_says_what_is_shown(run: Path) -> None:
    app = page_alone("trials", run, find="window:9", sort="-accuracy", columns="trial,accuracy")
    assert table_of(app).columns.tolist() == ["trial", "accuracy"]
    assert table_of(app)["trial"].tolist() == [5]
    assert "1 to 1 of 1 found, of 23 trials" in said(app)
    app.text_input(key="trials_find").set_value("").run()
    assert "find" not in app.query_params
    assert table_of(app)["trial"].tolist()[:2] == [21, 22]
    app.pills(key="trials_states").set_value(["failed"]).run()
    assert app.query_params["states"] == "failed"
    assert table_of(app)["trial"].tolist() == [20]
    app.selectbox(key="trials_sort").set_value("origin").run()
    assert app.query_params["sort"] == "-origin"


def test_nothing_found_is_said(run: Path) -> None:
    assert "No trial fits" in said(page_alone("trials", run, find="no such words"))


def test_pages_of_a_long_table(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", some_rows(120))
    app = page_alone("trials", tmp_path / "lm", page="2")
    assert table_of(app)["trial"].tolist() == list(range(50, 100))
    assert "51 to 100 of 120 trials" in said(app)
    app = page_alone("trials", tmp_path / "lm", page="99")
    assert table_of(app)["trial"].tolist() == list(range(100, 120))


def test_a_selection_from_elsewhere_is_seen_and_can_be_shown_alone(run: Path) -> None:
    app = page_alone("trials", run, trials="3-6,20")
    assert "5 trials are selected" in said(app)
    app.toggle(key="trials_only").set_value(True).run()
    assert table_of(app)["trial"].tolist() == [3, 4, 5, 6, 20]
    assert app.query_params["only"] == "selected"
    app.button(key="trials_clear").click().run()
    assert "trials" not in app.query_params
    assert len(table_of(app)) == 23
    assert "No trial is selected: this is the knee of the front." in said(app)


def test_a_failed_trial_shows_its_reason_and_its_log(run: Path) -> None:
    words = said(page_alone("trials", run, trial="20"))
    assert "Failed: RuntimeError: out of memory" in words
    assert "There is no logs/trial-20-0.log" in words
    assert "No learning curve was kept" in words
    (run / "logs" / "trial-20-0.log").write_text("Traceback: <b>boom</b>")
    assert "Traceback: <b>boom</b>" in said(page_alone("trials", run, trial="20"))


def test_rungs_are_listed_where_there_are_any(run: Path) -> None:
    app = page_alone("trials", run, trial="22")
    assert "Circles are the ends of rungs." in said(app)
    assert app.dataframe[1].value["Rung"].tolist() == [1, 2, 3]
    assert "Rungs and attempts" not in said(page_alone("trials", run, trial="3"))


def test_a_note_is_written_and_shown(run: Path) -> None:
    app = page_alone("trials", run, trial="3")
    app.text_area[0].set_value("fast, but\n" + HOSTILE)
    next(m for m in app.multiselect if m.label == "Tags").set_value(["promising"])
    next(button for button in app.button if button.label == "Save").click().run()
    assert not app.exception
    known = read_annotations(run).of(3)
    assert known.note == "fast, but\n" + HOSTILE.strip()
    assert known.tags == ("promising",)
    assert app.text_area[0].value == known.note
    assert app.pills(key="trials_tag").options == ["promising 1"]
    app.pills(key="trials_tag").set_value("promising").run()
    assert app.query_params["tag"] == "promising"
    assert table_of(app)["trial"].tolist() == [3]


def test_what_somebody_else_saved_is_not_lost(run: Path) -> None:
    app = page_alone("trials", run, trial="3")
    annotate(run, 3, note="theirs", tag=["theirs"])
    app.run()
    assert "Somebody changed this since you opened it" in said(app)
    app.text_area[0].set_value("mine")
    next(m for m in app.multiselect if m.label == "Tags").set_value(["mine"])
    next(button for button in app.button if button.label == "Save").click().run()
    assert read_annotations(run).of(3).tags == ("theirs", "mine")
    assert read_annotations(run).of(3).note == "mine"


def test_a_note_that_nobody_saw_is_not_written_over(run: Path) -> None:
    app = page_alone("trials", run, trial="3")
    annotate(run, 3, note="theirs")  # since the page was drawn
    app.text_area[0].set_value("mine")
    save = next(button for button in app.button if button.label == "Save")
    save.click().run()
    assert read_annotations(run).of(3).note == "theirs"
    assert "Not saved: somebody else wrote another note meanwhile" in said(app)
    assert "theirs" in said(app)
    assert app.text_area[0].value == "mine"
    next(button for button in app.button if button.label == "Save").click().run()
    assert read_annotations(run).of(3).note == "mine"  # now that theirs was shown
    assert "Not saved" not in said(app)


def test_what_cannot_be_saved_stays_typed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page_alone("trials", run, trial="3")
    next(m for m in app.multiselect if m.label == "Tags").set_value(["two words"])
    app.text_area[0].set_value("typed")
    next(button for button in app.button if button.label == "Save").click().run()
    assert "Not saved: a tag is one word" in said(app)
    assert app.text_area[0].value == "typed"
    assert not read_annotations(run).by_trial


def test_damaged_notes_are_told_of(run: Path) -> None:
    annotate(run, 3, note="x")
    file = run / "annotations.log"
    file.write_bytes(file.read_bytes() + b"rubbish\n")
    assert "One line of the notes' file can't be read" in said(page_alone("trials", run))


def test_notes_that_cannot_be_read_are_an_error_of_the_run(run: Path) -> None:
    (run / "annotations.log").mkdir()
    with pytest.raises(RunError, match="can't be read"):
        read_annotations(run)
    assert "can't be read" in said(page_alone("trials", run))


def test_objectives_that_no_trial_has_are_empty(tmp_path: Path) -> None:
    row = next(some_rows(1))
    make_run(tmp_path / "lm", [replace(row, state="infeasible", metrics={}, reason="too large")])
    app = page_alone("trials", tmp_path / "lm")
    assert np.isnan(table_of(app)["accuracy"].iloc[0])
    assert "Infeasible: too large" in said(app)

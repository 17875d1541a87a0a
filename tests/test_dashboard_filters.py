"""The bar of filters: what it offers, what it writes into the URL, what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dashboard_examples import make_run, page_alone, said, some_rows

from dashboard.frames.quantities import quantity
from dashboard.panels.filters import escaped, labelled, stops
from dashboard.panels.filters import said as bound_words
from dashboard.scope import Bound


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_run(tmp_path / "lm", some_rows(20))
    return tmp_path / "lm"


def test_few_values_are_the_stops_many_are_spread() -> None:
    assert stops(pd.Series([4.0, 1.0, float("nan"), 4.0])) == [1.0, 4.0]
    even = stops(pd.Series(np.linspace(1, 50, 500)))
    assert (even[0], even[-1]) == (1.0, 50.0)
    assert np.allclose(np.diff(even), even[1] - even[0])
    wide = stops(pd.Series(np.geomspace(1, 1e6, 500)))
    assert np.allclose(np.diff(np.log(wide)), np.log(wide[1] / wide[0]))


def test_stops_that_read_alike_are_one_and_exact_ones_stay() -> None:
    q = quantity("kv_cache_bytes", pd.DataFrame({"kv_cache_bytes": [2.0**30]}))
    texts = labelled([0.0, 2.0**29, 2.0**29 + 1, 2.0**30], q, exact=[2.0**29 + 1])
    assert list(texts.values()) == ["0 GiB", "0.500 GiB", "1 GiB"]
    assert 2.0**29 + 1 in texts


@pytest.mark.parametrize("end", [0.5899999, 0.59 - 1e-15, -1e308, 1e308])
def test_bounds_beside_an_end_are_told_from_it(end: float) -> None:
    q = quantity("accuracy", pd.DataFrame({"accuracy": [0.5]}))
    texts = labelled([0.4, 0.5, 0.59], q, exact=[0.4, end, 0.59])
    assert list(texts) == sorted({0.4, 0.5, 0.59, end})
    assert len(set(texts.values())) == 4


@pytest.mark.parametrize("page", ["pareto", "parameters"])
@pytest.mark.parametrize("keep", ["accuracy:..0.5899999", "accuracy:0.9..", "none:1.."])
def test_odd_bounds_of_a_link_are_shown(run: Path, page: str, keep: str) -> None:
    app = page_alone(page, run, keep=keep)
    assert "of 18 designs kept" in said(app)


def test_nothing_of_a_link_is_expanded_by_a_shell(run: Path) -> None:
    words = said(page_alone("pareto", run, keep="$(reboot):1..", **{"from": "random"}))
    assert "--where '$(reboot) >= 1'" in words
    assert "The same, but of all origins, from a shell:" in words


def test_a_narrow_range_has_enough_digits() -> None:
    q = quantity("accuracy", pd.DataFrame({"accuracy": [0.5]}))
    values = list(np.linspace(0.5412, 0.5418, 60))
    assert len(labelled(values, q, [])) == 60


def test_a_bound_is_said_in_words() -> None:
    q = quantity("accuracy", pd.DataFrame({"accuracy": [0.5]}))
    assert (
        bound_words(Bound("accuracy", 0.4, 0.5), q) == "Accuracy at least 0.400 and at most 0.500"
    )
    assert bound_words(Bound("x", 1.0), None) == "x, which this run does not have"
    assert escaped("a_b [c](d) :red[e]") == r"a\_b \[c\]\(d\) \:red\[e\]"


@pytest.mark.parametrize("page", ["pareto", "parameters"])
def test_the_url_says_what_is_kept(run: Path, page: str) -> None:
    app = page_alone(page, run, keep="accuracy:0.5..", **{"from": "random"})
    words = said(app)
    assert "5 of 18 designs kept: Accuracy at least 0.500; random" in words
    slider = next(s for s in app.select_slider if s.label == "Accuracy")
    assert slider.value[0] == 0.5
    app.button(key="filter_clear").click().run()
    assert "designs kept" not in said(app)
    assert "keep" not in app.query_params


def test_a_slider_writes_a_bound_and_an_end_is_open(run: Path) -> None:
    app = page_alone("pareto", run)
    slider = next(s for s in app.select_slider if s.label == "Accuracy")
    slider.set_range(0.5, slider.value[1]).run()
    assert app.query_params["keep"] in ("accuracy:0.5..", ["accuracy:0.5.."])
    assert "10 of 18 designs kept" in said(app)


def test_origins_that_are_all_on_leave_nothing_out(run: Path) -> None:
    app = page_alone("pareto", run)
    pills = next(g for g in app.button_group if "random" in (g.value or []))
    pills.set_value(["random"]).run()
    assert "9 of 18 designs kept: random" in said(app)
    assert app.query_params["from"] in ("random", ["random"])


@pytest.mark.parametrize("where", ["accuracy <", "nonsense > 1", "accuracy"])
def test_a_mistake_is_one_sentence_and_what_was_typed_stays(run: Path, where: str) -> None:
    app = page_alone("pareto", run, where=where, keep="accuracy:0.5..")
    words = said(app)
    assert words.count("The condition is left out") == 1
    assert "10 of 18 designs kept" in words
    assert next(t for t in app.text_input if t.label == "Condition").value == where


def test_a_typed_condition_holds_and_is_in_the_command(run: Path) -> None:
    app = page_alone("pareto", run)
    field = next(t for t in app.text_input if t.label == "Condition")
    field.set_value("accuracy > 0.5").run()
    assert "9 of 18 designs kept: accuracy > 0.5" in said(app)
    assert "--where 'accuracy > 0.5'" in said(app)


def test_a_bound_of_a_missing_column_keeps_nothing_and_says_so(run: Path) -> None:
    words = said(page_alone("pareto", run, keep="nope:1.."))
    assert "0 of 18 designs kept: nope, which this run does not have" in words
    assert "No design is kept: widen the filters above." in words


def test_a_column_that_varies_is_added(tmp_path: Path) -> None:
    rows = [replace(r, metrics={**r.metrics, "decode_64_ms": 1.0 + r.trial}) for r in some_rows(9)]
    make_run(tmp_path / "lm", rows)
    app = page_alone("pareto", tmp_path / "lm")
    adder = next(box for box in app.selectbox if box.label == "Add a column")
    assert adder.options == ["Decode 64 (ms)"]  # all have equally many parameters
    adder.select("decode_64_ms").run()
    labels = [slider.label for slider in app.select_slider]
    assert labels[0] == "Accuracy"
    assert labels[-1] == "Decode 64 \\(ms\\)"

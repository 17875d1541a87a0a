"""The Pareto page: what is drawn, what is selected, and what the two say of each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dashboard_examples import make_run, page_alone, said, some_rows

from dashboard.charts.labels import HEIGHT, LETTER, LINE, WIDTH, placed
from dashboard.frames.derived import marked_of, report_under
from dashboard.frames.points import (
    best_of_two,
    front_points,
    marked,
    placeable,
    places_of,
    share_text,
)
from dashboard.frames.quantities import quantity
from dashboard.loading import open_run
from dashboard.panels.picking import after_click, bounds_in, ranges_of, trials_in
from dashboard.scope import Scope
from results import RunWriter, front_report
from results.report import front_among


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_run(tmp_path / "lm", some_rows(20))
    return tmp_path / "lm"


def test_a_link_selects_trial_and_axes(run: Path) -> None:
    app = page_alone("pareto", run, trial="7", x="parameters", y="kv_cache_bytes")
    assert "**Trial 7**" in said(app)
    picked = {box.label: box.value for box in app.selectbox}
    assert picked["Vertical axis"] == "kv_cache_bytes"
    assert picked["Horizontal axis"] == "parameters"


def test_a_link_selects_several_and_a_colour(run: Path) -> None:
    app = page_alone("pareto", run, trials="3-5", trial="4", colour="kv_cache_bytes")
    words = said(app)
    assert "3 designs are selected: 3, 4, 5" in words
    assert "**Trial 4**" in words
    assert {b.label: b.value for b in app.selectbox}["Colour"] == "kv_cache_bytes"
    app.button(key="front_clear").click().run()
    assert "Nothing is selected" in said(app)
    assert "trials" not in app.query_params


def test_the_best_of_what_is_kept_is_a_click_away(run: Path) -> None:
    app = page_alone("pareto", run, keep="accuracy:..0.5")
    best = next(b for b in app.button if b.label.startswith("Highest accuracy"))
    assert "0\\.500" in best.label
    best.click().run()
    assert "Trial 10 is selected" in said(app)
    assert app.query_params["trial"] in ("10", ["10"])


def test_nothing_on_a_log_axis_is_said(tmp_path: Path) -> None:
    rows = [*some_rows(6)]
    for row in rows:
        row.metrics["nothing"] = 0.0  # type: ignore[index]
    make_run(tmp_path / "lm", rows)
    words = said(page_alone("pareto", tmp_path / "lm", x="nothing", log="x"))
    assert "No design has a place on these axes" in words


def test_what_is_kept_has_a_front_of_its_own_and_the_rest_is_faded(run: Path) -> None:
    loaded = open_run(run)
    kept = (loaded.report["accuracy"] <= 0.5).to_numpy()
    under = front_among(loaded.report, loaded.run.objectives, kept, loaded.noise)
    report = marked(loaded.report, under, kept)
    y, x = (quantity(o.column, report, loaded.run.objectives) for o in loaded.run.objectives[:2])
    points, total = front_points(report, loaded.noise, x, y, (False, False), x)
    assert total == len(points) == len(report)
    assert points.loc[points["status"] == "on the front", "kept"].all()
    assert points["kept"].sum() == kept.sum()
    assert (points["colour"] == points["x"]).all()
    assert best_of_two(report, x, y)["y"].max() == report.loc[kept, "accuracy"].max()
    assert places_of(placeable(report, x, y, (False, False)), [3, 999], x, y)["trial"].tolist() == [
        3
    ]


def test_what_filters_leave_is_compared_as_the_command_does(run: Path) -> None:
    loaded = open_run(run)
    scope = Scope(where="accuracy <= 0.5")
    under, objectives = report_under(loaded, scope), loaded.run.objectives
    wanted = front_report(loaded.frame, objectives, lambda d: scope.keeps(d), loaded.noise)
    for column in ("trial", "on_front", "within_noise_of_front", "same_as", "knee"):
        assert under[column].tolist() == wanted[column].tolist()
    near = (under["front_probability"] - wanted["front_probability"]).abs()
    assert near.max() < 0.15
    whole = marked_of(loaded, scope)
    shares = whole.loc[whole["kept"], "front_probability"]
    assert shares.tolist() == under["front_probability"].tolist()


def test_two_objectives_of_one_name_have_a_button_each(tmp_path: Path) -> None:
    objectives = {"accuracy": "max", "prefill_2048_ratio": "min", "prefill_2048_ms": "min"}
    described = {"config": {}, "config_text": "", "provenance": {}, "name": "lm"}
    with RunWriter.create(tmp_path / "lm", objectives=objectives, **described) as writer:
        for row in some_rows(6):
            writer.append(replace(row, metrics={**row.metrics, "prefill_2048_ms": 3.0 + row.trial}))
    app = page_alone("pareto", tmp_path / "lm")
    said(app)
    assert sum(b.label.startswith("Lowest prefill 2,048") for b in app.button) == 2


def test_a_click_replaces_and_shift_adds_or_takes_away() -> None:
    assert after_click([], [3], {9}) == ({3}, 3)
    assert after_click([3], [3, 5], {3, 9}) == ({3, 5, 9}, 5)  # 9 was chosen in the table
    assert after_click([3, 5], [5], {3, 5, 9}) == ({5, 9}, None)
    assert after_click([3, 5], [7], {3, 5}) == ({7}, 7)


def test_a_brush_holds_designs_that_are_not_drawn() -> None:
    report = pd.DataFrame({"trial": range(9000), "a": np.arange(9000.0), "b_bytes": 2.0**20})
    x, y = quantity("a", report), quantity("b_bytes", report)
    ranges = ranges_of({"x": [7.0, 2.0], "y": [0.5, 1.5]})
    assert ranges is not None
    assert ranges == ((2.0, 7.0), (0.5, 1.5))
    bounds = bounds_in(ranges, x, y)
    assert [bound.spelled for bound in bounds] == ["a:2.0..7.0", "b_bytes:524288.0..1572860.0"]
    assert trials_in(report, bounds) == [2, 3, 4, 5, 6, 7]
    assert ranges_of({}) is None


def test_labels_cover_neither_each_other_nor_points() -> None:
    names = ["mha", "mqa", "gqa", "sliding-window", "hybrid"]
    near = pd.DataFrame(
        {"x": [1.0, 1.001, 1.002, 1.0, 0.2], "y": [0.5, 0.5, 0.501, 0.499, 0.1], "label": names}
    )
    found = placed(near, (False, False))
    across = 36 + (near["x"] - 0.2) / 0.802 * (WIDTH - 72) + found["dx"]
    down = HEIGHT - 36 - (near["y"] - 0.1) / 0.401 * (HEIGHT - 72) + found["dy"]
    for i in range(5):
        for j in range(i):
            apart_x = abs(across[i] - across[j]) - LETTER * (len(names[i]) + len(names[j])) / 2
            assert apart_x > 0 or abs(down[i] - down[j]) > LINE
    assert placed(near.assign(label=""), (True, False)).empty


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0%"), (0.004, "<1%"), (0.996, ">99%"), (1.0, "100%"), (pd.NA, "unknown")],
)
def test_a_share_is_never_rounded_to_certainty(share: object, words: str) -> None:
    assert share_text(share) == words


def test_labels_are_placed_in_the_whole_picture() -> None:
    near = pd.DataFrame({"x": [1.0, 1.02], "y": [0.65, 0.66], "label": ["mqa", "gqa"]})
    alone = placed(near, (False, False))
    assert alone["dy"].nunique() == 1  # as far apart as the picture is high
    every = pd.concat([near, pd.DataFrame({"x": [0.3], "y": [0.1], "label": [""]})])
    moved = placed(near, (False, False), every)
    assert np.hypot(*np.diff(moved[["dx", "dy"]].to_numpy(), axis=0)[0]) > 12  # a line's height

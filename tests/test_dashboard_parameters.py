"""The Parameters page, its frames and its charts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dashboard_examples import make_run, page_alone, said, some_rows, trial_row

from dashboard.charts.importance import grid_chart, importance_chart, motif_chart, slice_chart
from dashboard.charts.parallel import parallel_chart
from dashboard.frames.derived import marked_of, quantities_of
from dashboard.frames.derived_axes import axes_of, axes_under, metric_of
from dashboard.frames.parameters import parallel, sampled, scale_of, slice_points
from dashboard.loading import Loaded, open_run
from dashboard.look import DARK, LIGHT, Palette
from dashboard.scope import Bound, Scope
from results.importance import importances
from results.motifs import motifs
from results.slices import by_layer, groups, means
from search_space import Design, Heads, LayerDesign, NoPosition


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_run(tmp_path / "lm", some_rows(40))
    return tmp_path / "lm"


@pytest.fixture
def loaded(run: Path) -> Loaded:
    return open_run(run)


def test_every_section_says_what_it_shows(run: Path) -> None:
    app = page_alone("parameters", run)
    words = said(app)
    assert [s.value for s in app.subheader] == [
        "All designs at once",
        "What matters",
        "One axis",
        "Two axes together",
        "What the front has in common",
    ]
    assert "38 of 38 designs shown, each a line" in words
    assert "ccuracy depends most on " in words
    assert "designs on the front" in words
    assert f"attnas parameters {run} --metric accuracy" in words


def test_a_link_chooses_metric_axis_and_colour(run: Path) -> None:
    app = page_alone(
        "parameters", run, metric="kv_cache_bytes", axis="kv_heads", colour="accuracy", trial="5"
    )
    picked = {box.label: box.value for box in app.selectbox}
    assert (picked["Metric"], picked["Axis"]) == ("kv_cache_bytes", "kv_heads")
    assert picked["Colour of lines"] == "accuracy"
    assert "Trial 5: 2 layers" in said(app)


def test_what_nobody_can_say_is_not_said(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", some_rows(8))
    words = said(page_alone("parameters", tmp_path / "lm"))
    assert "cannot be said yet: it takes 20 designs and there are 6" in words
    make_run(tmp_path / "one", some_rows(3))
    words = said(page_alone("parameters", tmp_path / "one"))
    assert "All designs of this run have the same values" in words


def test_designs_of_an_encoder_and_a_decoder(tmp_path: Path) -> None:
    rows = []
    for trial in range(24):
        inner = LayerDesign(Heads(4, (1, 2, 4)[trial % 3], 16), kind="bidirectional")
        outer = LayerDesign(Heads(4, (1, 4)[trial % 2], 16))
        cross = LayerDesign(Heads(4, 4, 16), position=NoPosition(), kind="cross")
        design = Design(64 + 8 * (trial // 6), 256, (inner, inner, outer, cross))
        rows.append(trial_row(trial, "random", design))
    make_run(tmp_path / "translate", rows)
    app = page_alone("parameters", tmp_path / "translate", axis="decoder kv_heads")
    assert not app.exception
    axis = next(box for box in app.selectbox if box.label == "Axis")
    assert axis.value == "decoder kv_heads"
    assert "KV heads (encoder)" in axis.options


def test_lines_stand_on_scales_of_their_own(loaded: Loaded) -> None:
    known = quantities_of(loaded)
    scope = Scope((Bound("accuracy", 0.5, None),))
    objectives = [known[o.column] for o in loaded.run.objectives]
    report, axes = marked_of(loaded, scope), axes_under(loaded, scope)
    data = parallel(report, axes, objectives, known["accuracy"], scope, [3])
    assert data.lines["height"].between(0, 1).all()
    assert set(data.lines["trial"]) == set(report["trial"])
    assert not data.lines.loc[data.lines["trial"] == 3, "kept"].any()
    first = data.lines[data.lines["axis"] == 0].set_index("trial")
    order = report.set_index("trial")["accuracy"].rank()
    assert (first["height"].rank() == order[first.index]).all()
    assert data.bounds["axis"].tolist() == [0]
    assert data.bounds["high"].tolist() == [1.0]
    assert [scale.better for scale in data.scales[:2]] == ["higher is better", "lower is better"]


def test_a_scale_has_a_tick_at_each_of_few_values_and_is_wide_in_logarithms() -> None:
    few = scale_of("n", "n", pd.Series([1.0, 2.0, 8.0, np.nan]))
    assert [text for _, text in few.places] == ["1", "2", "8"]
    wide = scale_of("n", "n", pd.Series(np.geomspace(1, 1e4, 50)))
    assert wide.heights(pd.Series([1.0, 100.0, 1e4])).tolist() == pytest.approx([0, 0.5, 1])
    one = scale_of("n", "n", pd.Series([3.0, 3.0]))
    assert one.heights(pd.Series([3.0])).tolist() == [0.0]


def test_a_sample_holds_the_front_and_presets(loaded: Loaded) -> None:
    report = loaded.report.assign(on_front=loaded.report["trial"] == 11)
    some = sampled(report, 10)
    assert len(some) == 10
    assert {0, 11} <= set(some["trial"])


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_charts_are_valid(loaded: Loaded, colours: Palette) -> None:
    known, axes = quantities_of(loaded), axes_of(loaded)
    q = known["accuracy"]
    values = metric_of(loaded, axes, "accuracy")
    codes, names, middles = groups(axes.figures["sliding-window.window"].to_numpy())
    objectives = [known[o.column] for o in loaded.run.objectives]
    found = importances(axes, {"accuracy": values})[0]
    front = np.isin(axes.trials, loaded.report.loc[loaded.report["on_front"], "trial"])
    cells = by_layer(axes.layers[0], values)
    drawn = [
        importance_chart(found.axes, colours),
        slice_chart(
            slice_points(axes, loaded.report, "sliding-window.window", q),
            means(codes, names, middles, values),
            "Window",
            q,
            colours,
        ),
        grid_chart(cells, ("layer", "Layer", ["1", "2"]), ("value", "x", ["1", "2"]), q, colours),
        motif_chart(motifs(axes, front), colours),
    ]
    for colour in (None, q):
        data = parallel(marked_of(loaded, Scope()), axes, objectives, colour, Scope())
        drawn.append(parallel_chart(data, colour, [], colours))
    for chart in drawn:
        assert chart.to_dict()["$schema"].endswith(".json")

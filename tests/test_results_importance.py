"""Importance, slices, interactions and motifs, on designs whose figures follow a known rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from results.design_axes import DesignAxes, axis_words, design_axes, value_words
from results.importance import LEAST, importances
from results.motifs import motifs, sentence, wilson
from results.slices import (
    EXACT_PAIRS,
    by_layer,
    by_two,
    extremes,
    groups,
    interactions,
    means,
)
from search_space import Dense, Design, Heads, LayerDesign, NoPosition, SlidingWindow, preset

KV = (1, 2, 4)


def some_designs(count: int, seed: int = 0) -> list[Design]:
    """Four layers, each dense or with a window, each with KV heads of its own."""
    rng = np.random.default_rng(seed)
    designs = []
    for _ in range(count):
        layers = []
        for _ in range(4):
            pattern = Dense() if rng.random() < 0.5 else SlidingWindow(int(rng.choice([8, 32])))
            layers.append(LayerDesign(Heads(4, int(rng.choice(KV)), 16), pattern))
        designs.append(Design(64, 256, tuple(layers)))
    return designs


def axes_of(designs: list[Design]) -> DesignAxes:
    return design_axes(range(len(designs)), [design.to_json() for design in designs])


def kv_heads(designs: list[Design]) -> np.ndarray:
    return np.array([sum(layer.heads.kv for layer in design.layers) for design in designs], float)


def dense(designs: list[Design]) -> np.ndarray:
    """(designs, layers) whether a layer is dense."""
    return np.array([[isinstance(la.pattern, Dense) for la in d.layers] for d in designs], float)


def test_axes_are_what_varies_and_unreadable_designs_are_left_out() -> None:
    designs = some_designs(30)
    axes = design_axes([*range(30), 99], [*(d.to_json() for d in designs), "{}"])
    assert len(axes) == 30
    assert [axis.name for axis in axes.layers] == ["kv_heads", "pattern", "sliding-window.window"]
    assert list(axes.sizes) == []
    figures = axes.figures
    assert np.allclose(figures["kv_heads"], kv_heads(designs) / 4)
    assert np.allclose(figures["pattern=dense"], dense(designs).mean(axis=1))
    some = axes.only(np.arange(30) < 5)
    assert some.figures["kv_heads"].tolist() == figures["kv_heads"].tolist()[:5]


def test_stacks_have_axes_of_their_own() -> None:
    enc = [LayerDesign(Heads(4, kv, 16), kind="bidirectional") for kv in (1, 4)]
    dec = LayerDesign(Heads(4, 2, 16))
    cross = LayerDesign(Heads(4, 2, 16), position=NoPosition(), kind="cross")
    designs = [Design(64, 64, (*[layer] * depth, dec, cross)) for layer in enc for depth in (1, 2)]
    axes = axes_of(designs)
    assert [axis.name for axis in axes.layers] == ["encoder kv_heads"]
    assert list(axes.sizes) == ["encoder layers"]
    assert axis_words("encoder kv_heads") == "KV heads (encoder)"
    assert axis_words("encoder layers") == "Encoder layers"


def test_words_for_axes_and_values() -> None:
    assert axis_words("pattern=dense") == "Dense layers, share"
    assert axis_words("sliding-window.window") == "Window"
    assert value_words("kv_heads", 2) == "2 KV heads"
    assert value_words("sliding-window.window", 8) == "window 8"
    assert value_words("pattern", "dense") == "dense"


def test_the_axis_that_makes_a_metric_is_found() -> None:
    designs = some_designs(300)
    rng = np.random.default_rng(1)
    noisy = kv_heads(designs) + 0.2 * rng.normal(size=300)
    (found,) = importances(axes_of(designs), {"cache": noisy})
    assert found.claimed
    assert found.r2 > 0.8
    assert found.axes["axis"].iloc[0] == "kv_heads"
    assert found.axes["share"].iloc[0] == pytest.approx(1.0, abs=0.25)  # all of the variance
    assert found.axes["share"].iloc[1] < 0.05
    assert found.sentence("cache").startswith("Cache depends most on KV heads (")
    assert "from 300 designs" in found.sentence("cache")


def test_nothing_is_claimed_of_noise_or_of_few_designs() -> None:
    designs = some_designs(60)
    noise = np.random.default_rng(2).normal(size=60)
    (found,) = importances(axes_of(designs), {"luck": noise})
    assert not found.claimed
    assert "cannot be predicted from the axes yet (R²" in found.sentence("luck")
    few = axes_of(designs[: LEAST - 1])
    (found,) = importances(few, {"cache": noise[: LEAST - 1]})
    assert found.sentence("cache") == (
        f"What cache depends on cannot be said yet: it takes {LEAST} designs and there are 19."
    )
    (same,) = importances(axes_of([designs[0]] * 30), {"cache": np.arange(30.0)})
    assert "nothing varies" in same.sentence("cache")


def test_missing_values_are_left_out_of_the_fit() -> None:
    designs = some_designs(80)
    values = kv_heads(designs)
    values[::2] = np.nan
    (found,) = importances(axes_of(designs), {"cache": values})
    assert (found.designs, found.of) == (40, 40)


def test_groups_are_values_where_few_and_ranges_where_many() -> None:
    codes, names, middles = groups(np.array([1.0, 4.0, np.nan, 1.0]))
    assert (codes.tolist(), names, middles.tolist()) == ([0, 1, -1, 0], ["1", "4"], [1.0, 4.0])
    codes, names, _ = groups(np.arange(100.0))
    assert len(names) == 6
    assert np.bincount(codes).min() >= 16
    table = means(codes, names, np.arange(6.0), np.where(codes == 0, 1.0, 0.0))
    assert table["mean"].tolist() == [1.0, 0, 0, 0, 0, 0]
    assert table["count"].sum() == 100


def test_a_cell_of_few_designs_is_marked() -> None:
    designs = some_designs(40)
    metric = dense(designs)[:, 2]
    cells = by_layer(axes_of(designs).layers[1], metric)
    third = cells[cells["layer"] == 3].set_index("value")
    assert third["mean"].to_dict() == {"dense": 1.0, "sliding-window": 0.0}
    assert third["count"].sum() == 40
    both = by_two((np.array([0, 0, 1]), ["a", "b"]), (np.array([0, 0, -1]), ["c"]), np.ones(3))
    assert both.to_dict("records") == [{"a": "a", "b": "c", "mean": 1.0, "count": 2, "few": True}]


def test_axes_that_act_together_are_told_from_a_sum() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.integers(0, 3, size=(400, 3)), columns=["a", "b", "c"])
    noise = 0.3 * rng.normal(size=400)
    product = frame["a"] * frame["b"] + noise
    found = interactions(frame, product.to_numpy())
    assert (found["a"][0], found["b"][0]) == ("a", "b")
    assert found["p"][0] < 1e-6
    assert 0.1 < found["share"][0] < 0.5
    assert found["p"][1:].min() > 0.01
    plain = interactions(frame, (frame["a"] + 2 * frame["b"] + noise).to_numpy())
    assert plain["share"].max() < 0.02
    assert interactions(frame[["a"]], product.to_numpy()).empty
    assert EXACT_PAIRS >= 3


def test_motifs_of_the_front_stand_out_and_chance_does_not() -> None:
    designs = some_designs(200)
    axes, first = axes_of(designs), dense(designs)[:, 0] > 0
    front = np.zeros(200, dtype=bool)
    front[np.flatnonzero(first)[:20]] = True
    table = motifs(axes, front)
    top = table.iloc[:2].set_index("motif")
    assert top.loc["dense in the first layer", "front"] == 1.0
    assert top["sure"].all()
    assert top.loc["dense in the first layer", "front_low"] == pytest.approx(
        wilson(np.ones(1), 20)[0][0]
    )
    assert "dense in the first layer, 100% against" in sentence(table, 20) or (
        "sliding-window in the first layer, 0% against" in sentence(table, 20)
    )
    anywhere = motifs(axes, np.arange(200) % 10 == 0)
    assert not anywhere["sure"].any()
    assert "beyond chance" in sentence(anywhere, 20)
    assert not motifs(axes, np.arange(200) < 3)["sure"].any()
    assert "too few to say" in sentence(table, 3)


def test_one_design_has_no_motifs() -> None:
    axes = axes_of([preset("mha", width=64, depth=2, context=256, heads=4, dim=16)])
    table = motifs(axes, np.array([True]))
    assert table.empty
    assert sentence(table, 1) == "Nothing that varies can be compared (1 design on the front)."


def test_a_range_without_values_is_no_group() -> None:
    values = np.array([0.0] * 5 + [0.5] * 60 + list(np.linspace(0.6, 9, 20)))
    codes, names, middles = groups(values)
    assert set(codes) == set(range(len(names)))
    assert np.isfinite(middles).all()


def test_groups_farthest_apart_are_rarely_told_apart_by_chance() -> None:
    rng = np.random.default_rng(0)
    codes = np.arange(260) % 13
    names, middles = [str(i) for i in range(13)], np.arange(13.0)
    noise = rng.normal(size=(200, 260))
    found = [extremes(means(codes, names, middles, each)) for each in noise]
    assert sum(each is not None and each[2] for each in found) <= 16  # 10 are expected at most
    one = extremes(means(codes, names, middles, noise[0] + 3.0 * (codes == 4)))
    assert one is not None
    assert (one[1]["group"], one[2]) == ("4", True)
    few = np.where(codes == 12, 30.0, 0.0) * (np.arange(260) % 3) + 3.0 * (codes == 4) + noise[0]
    uneven = extremes(means(codes, names, middles, few))
    assert uneven is not None  # the highest varies too much, and the next one is sure
    assert uneven[2]
    assert extremes(means(codes[:20], names, middles, noise[0, :20])) is None


def test_the_curve_of_one_axis_is_no_pair() -> None:
    found = []
    for seed in range(12):
        axes = axes_of(some_designs(250, seed))
        one = axes.figures["kv_heads"].to_numpy()
        noise = 0.02 * np.random.default_rng(seed).normal(size=250)
        found += [interactions(axes.figures, values) for values in (one**2, np.log(one) + noise)]
    assert sum(bool(pairs["sure"].any()) for pairs in found) <= 3


def test_rare_motifs_are_rarely_taken_for_what_a_front_shares() -> None:
    rng = np.random.default_rng(0)
    layers = [LayerDesign(Heads(4, 2, 16), pattern) for pattern in (Dense(), SlidingWindow(8))]
    kinds = rng.random((600, 6)) < 0.02
    designs = [Design(64, 256, tuple(layers[int(kind)] for kind in row)) for row in kinds]
    axes = axes_of(designs)
    claims = 0
    for _ in range(60):
        front = np.zeros(600, dtype=bool)
        front[rng.choice(600, 5, replace=False)] = True
        claims += bool(motifs(axes, front)["sure"].any())
    assert claims <= 7


def test_an_empty_front_has_no_motifs() -> None:
    axes = axes_of(some_designs(20))
    assert motifs(axes, np.zeros(20, dtype=bool)).empty
    assert motifs(axes.only(np.zeros(20, dtype=bool)), np.zeros(0, dtype=bool)).empty

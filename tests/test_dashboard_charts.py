"""Masks equal the formula, specs are valid, the front is the report's, digits are sensible."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest

from dashboard import charts
from dashboard.frames.designs import (
    cache_curves,
    differences,
    differing_numbers,
    layer_details,
    number_ranges,
    words,
)
from dashboard.frames.masks import (
    Region,
    distinct_patterns,
    mask_cells,
    mask_lengths,
    visible_shares,
    visible_text,
    window_of,
)
from dashboard.frames.points import (
    front_points,
    front_table,
    places_of,
    step_line,
    thinned,
)
from dashboard.frames.quantities import digits, quantity
from dashboard.frames.strips import strips_of
from dashboard.heartbeat import duration
from dashboard.launch import command, free_port
from dashboard.look import DARK, LIGHT, Palette, family_colours
from results import estimate_noise, front_report, parse_objectives
from search_space import (
    BigBird,
    Dense,
    Design,
    DilatedWindow,
    HeadGate,
    Heads,
    Hierarchical,
    LayerDesign,
    Pattern,
    ReusedKV,
    SinkWindow,
    SlidingWindow,
    Split,
    Strided,
    preset,
)
from search_space.counts import kv_cache_bytes

OBJECTIVES = parse_objectives({"accuracy": "max", "prefill_2048_ratio": "min"})
MIXED = Design(
    64,
    256,
    (
        LayerDesign(Heads.grouped(4, kv=2, dim=16), SlidingWindow(8)),
        LayerDesign(Heads.multi_query(4, dim=16), Dense()),
        LayerDesign(Heads.grouped(4, kv=2, dim=16), SlidingWindow(8)),
    ),
)
MHA = preset("mha", width=64, depth=3, context=256, heads=4, dim=16)


def some_trials(count: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ratio = rng.uniform(0.3, 1.0, count)
    return pd.DataFrame(
        {
            "trial": np.arange(count),
            "key": [f"k{max(i, 2)}" for i in range(count)],
            "seed": np.minimum(np.arange(count), 2),
            "origin": ["preset:mha" if i < 3 else ("random", "s")[i % 2] for i in range(count)],
            "state": "complete",
            "design": MHA.to_json(),
            "told_at": np.arange(count),
            "accuracy": ratio + rng.normal(0, 0.1, count),
            "prefill_2048_ratio": ratio,
            "prefill_2048_ratio_low": ratio * 0.98,
            "prefill_2048_ratio_high": ratio * 1.02,
        }
    )


def drawn_mask(pattern: Pattern, region: Region, cells: int = 128) -> np.ndarray:
    """The cells painted back onto a grid of the region's positions."""
    (top, bottom), (left, right) = region.query, region.key
    grid = np.zeros((bottom - top, right - left))
    found = mask_cells(pattern, region, cells=cells)
    for query, query_end, key, key_end, share in found.iloc[:, :5].to_numpy(float):
        rows, columns = slice(int(query) - top, int(query_end) - top), slice(None)
        columns = slice(int(key) - left, int(key_end) - left)
        grid[rows, columns] += share
    return grid


def formula(pattern: Pattern, region: Region) -> np.ndarray:
    queries, keys = np.arange(*region.query), np.arange(*region.key)
    return pattern.sees(queries[:, None], keys[None, :]).astype(float)


@pytest.mark.parametrize(
    "pattern",
    [
        Dense(),
        SlidingWindow(1),
        SlidingWindow(5),
        Strided(4),
        BigBird(4, 1, 1, 1),
        SinkWindow(3, 2),
    ],
)
@pytest.mark.parametrize(
    "region",
    [
        Region.square(0, 2),
        Region.square(0, 17),
        Region.square(0, 128),
        Region.square(4000, 96),
        Region((4000, 4064), (0, 64)),
        Region((50, 60), (3, 61)),
    ],
)
def test_the_drawn_mask_is_the_formula(pattern: Pattern, region: Region) -> None:
    assert np.array_equal(drawn_mask(pattern, region), formula(pattern, region))


def test_a_zoom_is_drawn_with_more_detail_and_exactly_close_up() -> None:
    whole = Region.square(0, 4096)
    near = whole.around({"query": [2000.0, 2040.0], "key": [1990.5, 2050.0]})
    assert near.query[0] <= 2000 - 40 + 8
    assert near.query[1] >= 2040 + 40 - 8
    assert near.side < 384
    drawn = drawn_mask(SlidingWindow(8), near, 384)
    assert np.array_equal(drawn, formula(SlidingWindow(8), near))
    assert whole.around({"query": [-500.0, 9000.0], "key": [float("nan"), 1.0]}) == whole
    assert whole.around({}) == whole


def test_cells_say_which_positions_they_are() -> None:
    cells = mask_cells(SlidingWindow(3), Region.square(4000, 16))
    assert cells["asking"].iloc[-1] == "4,015"
    assert cells["seen"].iloc[-1] == "4,013 to 4,015"


def test_windows_reach_as_far_as_is_marked() -> None:
    assert window_of(DilatedWindow(4, 3)) == 10
    assert window_of(SinkWindow(5, 2)) == 5
    assert window_of(Dense()) is window_of(BigBird(4, 1, 1, 1)) is None
    assert mask_lengths(100) == [16, 64, 100]
    assert mask_lengths(10**6)[-1] == 8192


def test_an_encoder_s_mask_goes_both_ways() -> None:
    cells = mask_cells(SlidingWindow(3), Region.square(0, 16), "bidirectional")
    assert (cells["key_end"] > cells["query_end"]).any()
    assert visible_text(SlidingWindow(3), 16, "bidirectional") == "28.9% of all pairs"


def test_a_summary_is_shared_by_the_tokens_of_its_block() -> None:
    grid = drawn_mask(Hierarchical(4, 4), Region.square(0, 16))
    assert grid.sum() == pytest.approx(Hierarchical(4, 4).attended_pairs(16))
    assert grid[15, :12].tolist() == [0.25] * 12


SPLIT = LayerDesign(Heads(4, 2, 8), SlidingWindow(4), split=Split(Dense(), 1), gate=HeadGate())


def test_layers_say_what_is_out_of_the_ordinary() -> None:
    design = Design(32, 16, (SPLIT, replace(SPLIT, tied=True)))
    (strip,) = strips_of(design)
    besides = strip.texts[strip.texts["row"] == "Besides"]
    assert besides["text"].tolist() == ["gated", "gated, tied"]
    assert [(p.name, where) for p, _, where in distinct_patterns(design)] == [
        ("sliding-window", "layers 1, 2, heads 1, 2"),
        ("dense", "layers 1, 2, heads 3, 4"),
    ]
    assert [w for *_, w in distinct_patterns(design, 2)] == [
        "layer 2, heads 1, 2",
        "layer 2, heads 3, 4",
    ]
    mixed = Design(32, 16, (LayerDesign(Heads(4, 2, 8)), SPLIT))
    assert distinct_patterns(mixed)[0][2] == "layer 1; layer 2, heads 3, 4"
    assert words(design.to_json()).startswith("2 layers: 1 window 4 and dense, gated, ")
    details = dict(layer_details(design, 2).to_numpy().tolist())
    assert details["Second pattern"] == "dense in 2 heads"
    assert details["Taken from"] == "layer 1"


def test_heads_are_grouped_by_the_kv_head_that_they_share() -> None:
    reused = LayerDesign(Heads(8, 2, 8), SlidingWindow(4), sharing=ReusedKV())
    design = Design(64, 64, (LayerDesign(Heads(8, 2, 8)), reused, replace(reused)))
    (strip,) = strips_of(design)
    assert len(strip.cells) == 24
    first = strip.bars[strip.bars["left"] < 1]
    assert len(first) == 2
    cells = strip.cells[strip.cells["left"] < 1]
    inside = [
        ((cells["top"] >= b.top) & (cells["bottom"] <= b.bottom)).sum() for b in first.itertuples()
    ]
    assert inside == [4, 4]
    assert strip.bars["own"].tolist() == ["own"] * 2 + ["reused"] * 4
    ends = strip.arcs.groupby("arc")["place"].agg(["first", "last"])
    assert ends.to_numpy().tolist() == [[2.0, 1.0], [3.0, 1.0]]


def test_each_stack_has_a_strip_and_cross_attention_stands_under_its_block() -> None:
    design = preset("mha", kind="encoder-decoder", width=64, depth=3, context=64, heads=4, dim=16)
    encoder, own, cross = strips_of(design)
    assert [strip.title for strip in (encoder, own, cross)] == [
        "Encoder", "Decoder, self-attention", "Decoder, cross-attention",
    ]  # fmt: skip
    assert own.columns["layer"].tolist() == [4, 6, 8]
    assert cross.columns["layer"].tolist() == [5, 7, 9]
    assert cross.columns["place"].tolist() == own.columns["place"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("depth", [1, 8, 17, 48])
def test_a_strip_of_any_depth_keeps_its_texts_within_it(depth: int) -> None:
    layers = tuple(
        replace(SPLIT, pattern=SlidingWindow(4 + i), tied=False)
        if i % 2
        else LayerDesign(Heads(4, 2, 8))
        for i in range(depth)
    )
    (strip,) = strips_of(Design(32, 128, layers))
    assert strip.texts["y"].between(0, strip.height).all()
    assert strip.height < 480
    spec = charts.layer_strip(strip, LIGHT, family_colours([], LIGHT)).to_dict()
    assert spec["$schema"] == alt.SCHEMA_URL


@pytest.mark.parametrize("pattern", [Dense(), SlidingWindow(33), Strided(64), Hierarchical(32, 16)])
@pytest.mark.parametrize("length", [129, 1000, 2048])
def test_long_masks_are_averaged_over_blocks(pattern: Pattern, length: int) -> None:
    region = Region.square(0, length)
    seen = formula(pattern, region)
    if isinstance(pattern, Hierarchical):
        positions = np.arange(length)
        blocks = positions[None, :] // pattern.block
        seen += pattern.sees_summary(positions[:, None], blocks) / pattern.block
    shares, rows, columns = visible_shares(pattern, region)
    assert len(shares) <= 128
    for i, j in ((0, 0), (len(shares) - 1, len(shares) - 1), (3, 2), (2, 3)):
        block = seen[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
        assert shares[i, j] == pytest.approx(block.mean())
    assert drawn_mask(pattern, region).sum() == pytest.approx(pattern.attended_pairs(length))


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_every_chart_is_valid_vega_lite(colours: Palette) -> None:
    frame = some_trials(40)
    report, noise = front_report(frame, OBJECTIVES), estimate_noise(frame)
    y, x = (quantity(o.column, report, OBJECTIVES) for o in OBJECTIVES)
    points, total = front_points(report, noise, x, y, (True, False))
    assert total == len(points) == len(report)
    ratios = pd.DataFrame(
        {
            "design": ["a", "b"], "what": "Prefill 32", "phase": "Prefill", "length": 32.0,
            "ratio": 0.5, "low": [0.4, float("nan")], "high": [0.6, float("nan")], "text": "0.5",
        }
    )  # fmt: skip
    values = pd.DataFrame(
        {"design": ["a"], "value": 0.5, "low": 0.4, "high": 0.6, "text": "0.5", "short": "0.5"}
    )
    reused = LayerDesign(Heads(4, 2, 16), SlidingWindow(4), sharing=ReusedKV())
    (strip,) = strips_of(Design(64, 256, (*MIXED.layers, reused)))
    families = family_colours(["sliding-window"], colours)
    curve = pd.DataFrame({"tokens": [1.0, 2.0], "loss": [2.0, 1.0], "line": "a", "design": "d"})
    drawn = [
        charts.pareto_chart(
            points,
            step_line(points, x, y),
            x,
            y,
            log=(True, False),
            selected=places_of(report, [5], x, y),
            colours=colours,
        ),
        charts.pattern_chart(
            mask_cells(SlidingWindow(8), Region.square(0, 64)),
            Region.square(0, 64),
            ["window 8"],
            colours.families[0],
            colours,
            8,
        ),
        charts.cache_curve_chart(cache_curves({"this": MIXED, "mha": MHA}), colours),
        charts.layer_strip(strip, colours, families, selected=1, different=[2]),
        charts.learning_chart(curve, colours),
        charts.latency_chart(ratios, colours),
        charts.latency_chart(ratios.head(1), colours),
        charts.latency_by_length_chart(ratios, colours),
        charts.interval_chart(values, y, colours),
        charts.fronts_chart(
            pd.DataFrame({"design": ["a"], "trial": 1, "x": 1.0, "y": 2.0, "text": ""}),
            "x",
            "y",
            colours,
        ),
    ]
    for chart in drawn:
        spec = chart.to_dict()  # validates against the schema
        assert spec["$schema"] == alt.SCHEMA_URL


def test_the_front_table_and_points_agree_with_the_report() -> None:
    frame = some_trials(60)
    report, noise = front_report(frame, OBJECTIVES), estimate_noise(frame)
    y, x = (quantity(o.column, report, OBJECTIVES) for o in OBJECTIVES)
    points, _ = front_points(report, noise, x, y, (False, False))
    front = report[report["on_front"]].sort_values("prefill_2048_ratio")
    table = front_table(report, [y, x], x)
    assert list(table["Trial"]) == list(front["trial"])
    assert list(table["Accuracy"]) == list(front["accuracy"])
    assert set(points.loc[points["status"] == "on the front", "trial"]) == set(front["trial"])
    # In the run's own two objectives the step line runs through the front.
    assert list(step_line(points, x, y)["y"]) == list(front["accuracy"])


def test_many_points_are_thinned_but_never_the_front() -> None:
    report = front_report(some_trials(5000), OBJECTIVES)
    kept = thinned(report)
    assert len(kept) < 2500
    assert kept["on_front"].sum() == report["on_front"].sum()


def test_designs_are_told_apart_in_words() -> None:
    assert words(MIXED.to_json()) == (
        "3 layers: 2 window 8, 1 dense; 2 grouped-query 4:2, 4 × 16, 1 multi-query, 4 × 16"
    )
    assert words("<b>") == "a design that this attnas cannot read"
    assert list(differences(MIXED, MHA)["Differs in"]) == [
        "KV heads, pattern",
        "KV heads",
        "KV heads, pattern",
    ]
    assert differing_numbers(MIXED, [MHA, MIXED]) == {1, 2, 3}
    assert differing_numbers(MIXED, [MIXED]) == set()
    assert number_ranges([1, 2, 3, 5, 6, 9]) == "1 to 3, 5, 6, 9"


def test_cache_curves_are_the_exact_counts() -> None:
    curve = cache_curves({"this": MIXED})
    assert list(curve["bytes"]) == [kv_cache_bytes(MIXED, int(n)) for n in curve["context"]]
    assert curve["context"].iloc[-1] == MIXED.context


def test_figures_have_units_and_sensible_digits() -> None:
    frame = pd.DataFrame({"kv_cache_bytes": [2.5 * 2**20], "accuracy": [0.61234]})
    cache, accuracy = quantity("kv_cache_bytes", frame), quantity("accuracy", frame)
    assert cache.heading == "KV cache (MiB)"
    assert cache.axis == "KV cache (MiB), lower is better"
    assert cache.text(2.5 * 2**20) == "2.50 MiB"
    assert accuracy.text(0.61234, (0.60034, 0.62434)) == "0.612 (0.600 to 0.624)"
    assert quantity("prefill_2048_ratio", frame).axis == (
        "Prefill 2,048 (ratio to dense multi-head), lower is better"
    )
    assert [digits(v) for v in (0, 1234.5, 12, 0.00123)] == ["0", "1,234", "12", "0.00123"]
    assert [duration(s) for s in (5, 600, 7200)] == ["5 s", "10 min", "2.0 h"]


def test_the_command_is_private_and_quiet() -> None:
    line = command(Path("runs"), 8600)
    assert line[-2:] == ["--", "runs"]
    for flag in (
        "--server.port=8600",
        "--server.address=127.0.0.1",
        "--browser.gatherUsageStats=false",
        "--client.showErrorDetails=type",
        "--server.fileWatcherType=none",
        "--server.headless=true",
    ):
        assert flag in line


def test_a_taken_port_is_refused_in_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"port {port} is in use; stop what uses it or choose"):
            free_port(port)
    free_port(port)

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
from dashboard.designs import (
    cache_curves,
    differences,
    distinct_patterns,
    layer_rows,
    mask_cells,
    number_ranges,
    visible_shares,
    visible_text,
    words,
)
from dashboard.heartbeat import duration
from dashboard.launch import command, free_port
from dashboard.look import DARK, LIGHT, Palette
from dashboard.points import front_points, front_table, hypervolume_by_source, step_line, thinned
from dashboard.quantities import digits, quantity
from results import estimate_noise, front_report, parse_objectives
from search_space import (
    BigBird,
    Dense,
    Design,
    HeadGate,
    Heads,
    Hierarchical,
    LayerDesign,
    Pattern,
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


def drawn_mask(pattern: Pattern, length: int) -> np.ndarray:
    """The cells painted back onto a grid of positions."""
    grid = np.zeros((length, length))
    for query, query_end, key, key_end, share in mask_cells(pattern, length).to_numpy():
        grid[int(query) : int(query_end), int(key) : int(key_end)] += share
    return grid


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
@pytest.mark.parametrize("length", [2, 17, 128])
def test_the_drawn_mask_is_the_formula(pattern: Pattern, length: int) -> None:
    positions = np.arange(length)
    assert np.array_equal(
        drawn_mask(pattern, length), pattern.sees(positions[:, None], positions[None, :])
    )


def test_an_encoder_s_mask_goes_both_ways() -> None:
    cells = mask_cells(SlidingWindow(3), 16, "bidirectional")
    assert (cells["key_end"] > cells["query_end"]).any()
    assert visible_text(SlidingWindow(3), 16, "bidirectional") == "28.9% of all pairs"


def test_a_summary_is_shared_by_the_tokens_of_its_block() -> None:
    grid = drawn_mask(Hierarchical(4, 4), 16)
    assert grid.sum() == pytest.approx(Hierarchical(4, 4).attended_pairs(16))
    assert grid[15, :12].tolist() == [0.25] * 12


def test_layers_say_what_is_out_of_the_ordinary() -> None:
    layer = LayerDesign(Heads(4, 2, 8), SlidingWindow(4), split=Split(Dense(), 1), gate=HeadGate())
    design = Design(32, 16, (layer, replace(layer, tied=True)))
    assert layer_rows(design)["more"].tolist() == ["gated", "gated, tied"]
    assert [(p.name, numbers) for p, _, numbers in distinct_patterns(design)] == [
        ("sliding-window", [1, 2]),
        ("dense", [1, 2]),
    ]
    assert words(design.to_json()).startswith("2 layers: 1 window 4 and dense, gated, ")


@pytest.mark.parametrize("pattern", [Dense(), SlidingWindow(33), Strided(64), Hierarchical(32, 16)])
@pytest.mark.parametrize("length", [129, 1000, 2048])
def test_long_masks_are_averaged_over_blocks(pattern: Pattern, length: int) -> None:
    positions = np.arange(length)
    seen = pattern.sees(positions[:, None], positions[None, :]).astype(float)
    if isinstance(pattern, Hierarchical):
        blocks = positions[None, :] // pattern.block
        seen += pattern.sees_summary(positions[:, None], blocks) / pattern.block
    shares, edges = visible_shares(pattern, length)
    assert len(shares) <= 128
    for i, j in ((0, 0), (len(shares) - 1, len(shares) - 1), (3, 2), (2, 3)):
        block = seen[edges[i] : edges[i + 1], edges[j] : edges[j + 1]]
        assert shares[i, j] == pytest.approx(block.mean())
    assert drawn_mask(pattern, length).sum() == pytest.approx(pattern.attended_pairs(length))


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_every_chart_is_valid_vega_lite(colours: Palette) -> None:
    frame = some_trials(40)
    report, noise = front_report(frame, OBJECTIVES), estimate_noise(frame)
    y, x = (quantity(o.column, report, OBJECTIVES) for o in OBJECTIVES)
    points, total = front_points(report, noise, x, y, (True, False))
    assert total == len(points) == len(report)
    ratios = pd.DataFrame(
        {"what": ["Prefill"], "ratio": [0.5], "low": [0.4], "high": [0.6], "text": ["0.5"]}
    )
    curve = pd.DataFrame({"tokens": [1.0, 2.0], "loss": [2.0, 1.0], "line": "a", "design": "d"})
    drawn = [
        charts.pareto_chart(
            points,
            step_line(points, x, y),
            x,
            y,
            log=(True, False),
            selected=5,
            colours=colours,
        ),
        charts.pattern_chart(mask_cells(Dense(), 64), 64, "dense", colours.families[0]),
        charts.cache_curve_chart(cache_curves({"this": MIXED, "mha": MHA}), colours),
        charts.layer_strip(layer_rows(MIXED), colours),
        charts.hypervolume_chart(hypervolume_by_source(frame, OBJECTIVES), colours),
        charts.learning_chart(curve, colours),
        charts.latency_chart(ratios, colours),
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


def test_hypervolume_grows_and_compares_in_one_box() -> None:
    growth = hypervolume_by_source(some_trials(60), OBJECTIVES)
    for _, part in growth.groupby("source"):
        assert part["share"].is_monotonic_increasing
        assert part["share"].between(0, 1).all()
    assert hypervolume_by_source(some_trials(0), OBJECTIVES).empty


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

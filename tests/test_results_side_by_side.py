"""Designs and runs side by side: who is best, what noise hides, and what does not compare."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from results import Noise, Objective
from results.differing import difference_in_words, differing_layers, differing_parts
from results.several_runs import (
    Standing,
    best_of,
    common_objectives,
    config_differences,
    hypervolumes,
)
from results.side_by_side import (
    caveats,
    chosen_designs,
    chosen_rows,
    direction_of,
    lines,
    provenance,
    telling,
)
from search_space import Dense, Design, HeadGate, Heads, LayerDesign, SlidingWindow, preset

ACCURACY, BYTES = Objective("accuracy", "max"), Objective("kv_cache_bytes", "min")
OBJECTIVES = (ACCURACY, BYTES)
NOISE = Noise({"accuracy": (0.01, 100_000)})  # half an interval of one seed is 0.0196
DENSE = LayerDesign(Heads.multi(4, dim=16), Dense())
LOCAL = LayerDesign(Heads.grouped(4, kv=2, dim=16), SlidingWindow(8))


def designs(accuracy: list[float], cache: list[float], **others: list[float]) -> pd.DataFrame:
    columns = {"seeds": [1.0] * len(accuracy), "accuracy": accuracy, "kv_cache_bytes": cache}
    return pd.DataFrame(columns | others)


def marks(accuracy: list[float]) -> tuple[list[str], str]:
    line = lines(designs(accuracy, [1.0] * len(accuracy)), OBJECTIVES, NOISE)[0]
    return [cell.mark for cell in line.cells], line.verdict


def test_the_best_is_marked_only_where_noise_does_not_hide_it() -> None:
    assert marks([0.5, 0.6, 0.4]) == (["", "best", ""], "different")
    assert marks([0.59, 0.6, 0.4]) == (["near", "near", ""], "different")
    assert marks([0.595, 0.6, 0.605]) == (["", "", ""], "within noise")
    assert marks([0.6, 0.6, 0.6]) == (["", "", ""], "equal")
    assert marks([0.6, float("nan")]) == (["", ""], "incomplete")


def test_lower_is_better_for_what_the_search_lowers_and_equal_counts_share_the_mark() -> None:
    line = lines(designs([0.5] * 3, [2.0, 1.0, 1.0]), OBJECTIVES, NOISE)[1]
    assert [cell.mark for cell in line.cells] == ["", "near", "near"]
    assert line.in_words(["a", "b", "c"]) == "best within noise: b, c"
    assert (direction_of("bleu", OBJECTIVES), direction_of("x_ms", OBJECTIVES)) == ("max", "min")


def test_unknown_noise_marks_nothing() -> None:
    found = lines(designs([0.5, 0.9], [1.0, 1.0], seconds=[1.0, 9.0]), OBJECTIVES, Noise({}))
    by_column = {line.column: line for line in found}
    assert [cell.mark for cell in by_column["seconds"].cells] == ["", ""]
    assert by_column["accuracy"].in_words(["a", "b"]) == "noise unknown"
    assert by_column["kv_cache_bytes"].in_words(["a", "b"]) == "equal"


def test_objectives_are_always_told_and_of_the_rest_what_differs() -> None:
    table = designs([0.5, 0.5], [1.0, 1.0], parameters=[5.0, 5.0], decode_flops=[1.0, 2.0])
    found = lines(table, OBJECTIVES, NOISE)
    assert [line.column for line in found] == [
        "accuracy", "kv_cache_bytes", "parameters", "decode_flops",
    ]  # fmt: skip
    told = [line.column for line in telling(found)]
    assert told == ["accuracy", "kv_cache_bytes", "decode_flops"]


def test_measured_values_are_compared_by_their_own_intervals() -> None:
    ratios = {"x_ratio": [0.5, 0.6], "x_ratio_low": [0.45, 0.5], "x_ratio_high": [0.55, 0.7]}
    found = {x.column: x for x in lines(designs([0.5] * 2, [1.0] * 2, **ratios), OBJECTIVES, NOISE)}
    assert set(found) == {"accuracy", "kv_cache_bytes", "x_ratio"}
    first = found["x_ratio"].cells[0]
    assert (first.low, first.high) == pytest.approx((0.45, 0.55))
    assert found["x_ratio"].verdict == "within noise"


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trial": [0, 1, 2],
            "key": ["a", "a", "b"],
            "state": ["complete", "complete", "failed"],
            "origin": ["preset:mha", "random", "random"],
            "seed": [0, 1, 0],
            "worker": ["w", "w", "w"],
            "device": ["cpu", "cpu", "cuda"],
            "torch": ["2.10", "2.10", "2.11"],
            "data": ["x", "x", None],
            "accuracy": [0.5, 0.7, 0.1],
            "kv_cache_bytes": [1.0, 1.0, float("nan")],
        }
    )


def test_a_trial_stands_for_its_design_and_a_failed_one_for_itself() -> None:
    report = designs([0.6], [1.0]).assign(key="a", seeds=2, knee=True)
    chosen = chosen_rows(rows(), [2, 1, 9])
    assert chosen["trial"].tolist() == [2, 1]
    found = chosen_designs(report, chosen)
    assert found["accuracy"].tolist() == [0.1, 0.6]
    assert found["seeds"].tolist() == [1, 2]
    assert "knee" not in found


def test_what_does_not_compare_is_said_and_unknown_is_no_difference() -> None:
    assert caveats(rows()) == [
        "Latencies are not comparable: the device and version of torch differ."
    ]
    assert caveats(rows().head(2)) == []
    other = rows().assign(data=["x", "y", "x"], torch="2.10", device="cpu")
    assert caveats(other) == ["Accuracies are not comparable: the task's data differ."]
    table = {row["subject"]: row for row in provenance(rows()).to_dict("records")}
    assert [table["device"][name] for name in ("0", "2", "differs")] == ["cpu", "cuda", True]
    assert not table["worker"]["differs"]


def test_designs_differ_layer_by_layer() -> None:
    mixed, dense = Design(64, 256, (DENSE, LOCAL)), Design(64, 256, (DENSE, DENSE))
    assert difference_in_words(mixed, dense) == (
        "differs in 1 of 2 layers: KV heads in 1, pattern in 1"
    )
    assert difference_in_words(dense, dense) == "has the same layers"
    assert difference_in_words(Design(32, 256, (DENSE,)), dense) == (
        "differs in 1 of 2 layers: 1 fewer; width 32 against 64"
    )
    assert differing_layers([dense, dense, mixed]) == {("causal", 2)}
    assert differing_parts(DENSE, replace(DENSE, gate=HeadGate())) == ["gate"]


def test_stacks_are_compared_each_by_itself() -> None:
    small, large = (
        preset(name, kind="encoder-decoder", width=64, depth=2, context=64, heads=4, dim=16)
        for name in ("mha", "gqa")
    )
    kinds = {kind for kind, _ in differing_layers([small, large])}
    assert kinds == {"bidirectional", "causal", "cross"}


def run(name: str, accuracies: list[float], objectives: tuple[Objective, ...]) -> Standing:
    count = len(accuracies)
    report = designs(accuracies, [float(i + 1) for i in range(count)]).assign(
        trial=range(count), on_front=True, knee=False, key=[str(i) for i in range(count)]
    )
    frame = pd.DataFrame({"trial": range(count), "state": ["complete"] * count})
    return Standing(name, objectives, frame, report, NOISE)


def test_runs_share_one_box() -> None:
    good, bad = run("a", [0.5, 0.9], OBJECTIVES), run("b", [0.4], OBJECTIVES[::-1])
    assert common_objectives([good, bad]) == OBJECTIVES
    first, second = hypervolumes([good, bad])
    assert first is not None and second is not None  # noqa: PT018
    assert first > second > 0
    best = best_of(good, ACCURACY)
    assert best is not None
    assert (best.trial, best.value) == (1, 0.9)
    assert best.low == pytest.approx(0.9 - 0.0196, abs=1e-4)


def test_runs_with_other_objectives_or_without_designs_have_no_common_volume() -> None:
    good, other = run("a", [0.5], OBJECTIVES), run("b", [0.5], (ACCURACY,))
    assert hypervolumes([good, other]) == [None, None]
    assert hypervolumes([run("c", [], OBJECTIVES)]) == [None]
    assert best_of(run("c", [], OBJECTIVES), ACCURACY) is None
    assert best_of(other, BYTES) is None


def test_only_keys_that_differ_are_told() -> None:
    table = config_differences(
        {"a": {"x": {"y": 1, "z": [1]}, "w": 2}, "b": {"x": {"y": 2, "z": [1]}}}
    )
    assert table.to_numpy().tolist() == [["w", "2", "-"], ["x.y", "1", "2"]]

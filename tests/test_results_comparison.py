"""Differences of two designs, in each kind of objective, with verdict and words."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from results import Noise, Objective, differences

ACCURACY, BYTES = Objective("accuracy", "max"), Objective("kv_cache_bytes", "min")
RATIO, SECONDS = Objective("decode_24_ratio", "min"), Objective("seconds", "min")
ALL = (ACCURACY, BYTES, RATIO, SECONDS)
NOISE = Noise({"accuracy": (0.01, 100_000)})


def design(accuracy: float, cache: float, ratio: float, **others: float) -> pd.Series:
    found = {
        "seeds": 2, "accuracy": accuracy, "kv_cache_bytes": cache, "seconds": 1.0,
        "decode_24_ratio": ratio, "decode_24_ratio_low": ratio / 1.1,
        "decode_24_ratio_high": ratio * 1.1,
    }  # fmt: skip
    return pd.Series(found | others)


def test_trained_objectives_differ_by_a_difference_and_all_others_by_a_factor() -> None:
    found = differences(design(0.55, 50, 0.6), design(0.50, 100, 0.5), ALL, NOISE)
    accuracy, cache, ratio, seconds = found
    half = 1.96 * 0.01  # two means of two seeds each
    assert (accuracy.value, accuracy.low, accuracy.high) == pytest.approx(
        (0.05, 0.05 - half, 0.05 + half), abs=1e-4
    )
    assert (cache.value, cache.low, cache.high) == (0.5, 0.5, 0.5)
    stretch = 1.1 ** (2**0.5)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx(
        (1.2, 1.2 / stretch, 1.2 * stretch)
    )
    assert math.isnan(seconds.low)
    assert [each.verdict for each in found] == ["better", "better", "worse", "unknown"]
    assert [each.is_factor for each in found] == [False, True, True, False]


def test_the_other_way_round_the_verdicts_turn() -> None:
    found = differences(design(0.50, 100, 0.5), design(0.55, 50, 0.6), ALL, NOISE)
    assert [each.verdict for each in found] == ["worse", "worse", "better", "unknown"]


def test_a_small_difference_is_within_noise_and_equal_counts_are_no_difference() -> None:
    found = differences(design(0.51, 0, 0.52), design(0.50, 0, 0.5), ALL, NOISE)
    assert [each.verdict for each in found][:3] == ["within noise"] * 3
    assert found[1].value == 1.0
    assert differences(design(0.5, 1, 1), design(0.5, 0, 1), (BYTES,), NOISE)[0].verdict == "worse"


def test_words_name_the_figure_its_interval_and_what_it_means() -> None:
    found = differences(design(0.55, 50, 0.52), design(0.50, 100, 0.5), ALL, NOISE)
    names = {"kv_cache_bytes": "KV cache"}
    assert [each.in_words(lambda column: names.get(column, column)) for each in found] == [
        "accuracy +0.050 (+0.030 to +0.070)",
        "KV cache × 0.50",
        "decode_24_ratio × 1.04 (0.91 to 1.19, within noise)",
        "seconds +0.000 (noise unknown)",
    ]

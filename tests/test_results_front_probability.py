"""Front probability against exact figures, and on ties, unknown noise and many designs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from results import Noise, Objective, front_probability, front_report

ACCURACY, BYTES = Objective("accuracy", "max"), Objective("kv_cache_bytes", "min")
RATIO = Objective("prefill_ratio", "min")
NOISE = Noise({"accuracy": (0.01, 100_000)})


def designs(*records: tuple[float, float], seeds: int = 1) -> pd.DataFrame:
    """Designs of (accuracy, kv_cache_bytes)."""
    return pd.DataFrame(records, columns=["accuracy", "kv_cache_bytes"]).assign(seeds=seeds)


def ratios(*records: tuple[float, float]) -> pd.DataFrame:
    """Designs of (prefill_ratio, factor to each bound), all else equal."""
    frame = pd.DataFrame(records, columns=["prefill_ratio", "factor"])
    return frame.assign(
        kv_cache_bytes=1.0,
        prefill_ratio_low=frame["prefill_ratio"] / frame["factor"],
        prefill_ratio_high=frame["prefill_ratio"] * frame["factor"],
    )


def test_of_two_designs_the_dearer_is_on_the_front_where_it_is_the_better() -> None:
    found = front_probability(
        designs((0.500, 1), (0.505, 2)), (ACCURACY, BYTES), NOISE, draws=10_000
    )
    exact = norm.cdf(0.005 / (0.01 * 2**0.5))
    assert found.tolist() == pytest.approx([1.0, exact], abs=0.015)


def test_more_seeds_make_it_surer() -> None:
    table = designs((0.500, 1), (0.505, 2), seeds=4)
    found = front_probability(table, (ACCURACY, BYTES), NOISE, draws=10_000)
    assert found[1] == pytest.approx(norm.cdf(0.005 / (0.005 * 2**0.5)), abs=0.015)


def test_what_is_measured_errs_by_factors() -> None:
    found = front_probability(
        ratios((0.50, 1.1), (0.51, 1.1)), (RATIO, BYTES), Noise(), draws=10_000
    )
    deviation = np.log(1.1) / norm.ppf(0.975) * 2**0.5
    exact = norm.cdf(np.log(0.51 / 0.50) / deviation)
    assert found.tolist() == pytest.approx([exact, 1 - exact], abs=0.015)


def test_equal_exact_values_are_on_the_front_together() -> None:
    objectives = (BYTES, Objective("parameters", "min"))
    table = pd.DataFrame({"kv_cache_bytes": [1, 1, 1, 2], "parameters": [5, 5, 6, 4]}, dtype=float)
    assert front_probability(table, objectives, Noise()).tolist() == [1.0, 1.0, 0.0, 1.0]


def test_beyond_doubt_is_zero_and_unknown_noise_is_na() -> None:
    table = designs((0.5, 1), (0.2, 1), (0.9, 9))
    assert front_probability(table, (ACCURACY, BYTES), NOISE).tolist() == [1.0, 0.0, 1.0]
    assert front_probability(table, (ACCURACY, BYTES), Noise()).isna().all()
    assert front_probability(table.iloc[:0], (ACCURACY, BYTES), NOISE).empty


def test_the_same_seed_gives_the_same_figures() -> None:
    rng = np.random.default_rng(0)
    table = designs(*zip(0.5 + 0.02 * rng.normal(size=40), rng.integers(1, 5, 40), strict=True))
    first, again = (front_probability(table, (ACCURACY, BYTES), NOISE) for _ in range(2))
    assert first.tolist() == again.tolist()
    assert first.sum() > 2


def test_leaving_out_the_hopeless_changes_nothing() -> None:
    """Beside a hundred designs in the running, ones far behind have no share and take none."""
    rng = np.random.default_rng(1)
    near = list(zip(0.5 + 0.01 * rng.normal(size=30), rng.integers(1, 5, 30), strict=True))
    far = [(0.1, 9.0)] * 1000
    alone = front_probability(designs(*near), (ACCURACY, BYTES), NOISE)
    among = front_probability(designs(*near, *far), (ACCURACY, BYTES), NOISE)
    assert among[30:].tolist() == [0.0] * 1000
    assert among[:30].tolist() == pytest.approx(alone.tolist(), abs=1e-9)


def test_the_report_has_the_probability_beside_the_front() -> None:
    frame = pd.DataFrame(
        {
            "trial": range(4), "key": ["a", "a", "b", "c"], "seed": [0, 1, 0, 0],
            "origin": "random", "state": "complete", "accuracy": [0.50, 0.52, 0.9, 0.1],
            "kv_cache_bytes": [1.0, 1.0, 2.0, 2.0],
        }
    )  # fmt: skip
    report = front_report(frame, (ACCURACY, BYTES))
    assert report["front_probability"].tolist()[:2] == [1.0, pytest.approx(1.0, abs=0.02)]
    assert report["front_probability"].tolist()[2] < 0.05

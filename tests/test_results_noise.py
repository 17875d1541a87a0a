"""Noise on simulated runs: what is equal is rarely called different, what differs is found."""

import numpy as np
import pandas as pd
import pytest

from results import (
    Noise,
    Objective,
    by_design,
    distinguishable,
    estimate_noise,
    front_report,
    interval,
    parse_objectives,
    pooled_seed_sd,
)
from results.columns import kind_of, metric_columns

ACCURACY = Objective("accuracy", "max")
RATIO = Objective("prefill_ratio", "min")
BYTES = Objective("kv_cache_bytes", "min")
OBJECTIVES = (ACCURACY, BYTES)


def trials(*records: tuple[str, int, float, float], **columns: list[float]) -> pd.DataFrame:
    """Rows of (key, seed, accuracy, kv_cache_bytes)."""
    frame = pd.DataFrame(records, columns=["key", "seed", "accuracy", "kv_cache_bytes"])
    frame.insert(0, "trial", range(len(frame)))
    return frame.assign(state="complete", origin="random", **columns)


def simulated(
    rng: np.random.Generator, designs: int, seeds: int, sd: float, gap: float = 0.0
) -> pd.DataFrame:
    """Designs whose accuracies step by `gap`, seen under `seeds` seeds each."""
    return trials(
        *(
            (f"k{d:03d}", s, 0.5 + gap * d + sd * rng.normal(), 100.0)
            for d in range(designs)
            for s in range(seeds)
        )
    )


def test_the_pooled_deviation_is_that_of_the_seeds() -> None:
    frame = trials(("a", 0, 0.1, 1), ("a", 1, 0.3, 1), ("b", 0, 0.5, 1), ("b", 1, 0.9, 1))
    # Squared residuals 2 x 0.01 and 2 x 0.04 over two degrees of freedom.
    assert pooled_seed_sd(frame, "accuracy") == pytest.approx((0.05**0.5, 2))
    found = pooled_seed_sd(simulated(np.random.default_rng(0), 200, 3, 0.02), "accuracy")
    assert found is not None
    assert found[0] == pytest.approx(0.02, rel=0.1)
    assert found[1] == 400


def test_without_a_repeated_seed_the_noise_is_unknown() -> None:
    frame = trials(("a", 0, 0.5, 1), ("b", 0, 0.9, 2))
    assert pooled_seed_sd(frame, "accuracy") is None
    assert pooled_seed_sd(frame, "no such column") is None
    a, b = (row for _, row in by_design(frame, OBJECTIVES).iterrows())
    assert distinguishable(a, b, ACCURACY, estimate_noise(frame)) is None
    assert interval(a, "accuracy", estimate_noise(frame)) is None


def test_one_seed_seen_twice_is_not_a_repetition() -> None:
    frame = trials(("a", 0, 0.5, 1), ("a", 0, 0.5, 1))
    assert pooled_seed_sd(frame, "accuracy") is None
    assert by_design(frame, OBJECTIVES)["seeds"].tolist() == [1]


def test_rows_that_are_not_complete_say_nothing() -> None:
    frame = trials(("a", 0, 0.5, 1), ("a", 1, 0.1, 1), ("b", 0, 0.9, 1))
    frame.loc[1, "state"] = "pruned"
    assert pooled_seed_sd(frame, "accuracy") is None
    assert by_design(frame, OBJECTIVES)["accuracy"].tolist() == [0.5, 0.9]


def test_by_design_averages_seeds_and_joins_origins() -> None:
    frame = trials(("b", 0, 0.5, 4), ("a", 0, 0.1, 8), ("b", 1, 0.7, 4))
    frame["origin"] = ["random", "preset:mha", "finalist"]
    designs = by_design(frame, OBJECTIVES)
    assert designs.to_dict("list") == {
        "key": ["b", "a"],
        "trial": [0, 1],
        "seeds": [2, 1],
        "origin": ["finalist, random", "preset:mha"],
        "accuracy": [pytest.approx(0.6), 0.1],
        "kv_cache_bytes": [4, 8],
        "accuracy_sd": [pytest.approx(0.02**0.5), pytest.approx(np.nan, nan_ok=True)],
    }


def test_equal_designs_are_called_different_in_a_twentieth_of_cases() -> None:
    rng = np.random.default_rng(1)
    called = []
    for _ in range(60):
        frame = simulated(rng, 20, 3, 0.03)
        designs, noise = by_design(frame, OBJECTIVES), estimate_noise(frame)
        pairs = [(designs.iloc[i], designs.iloc[i + 1]) for i in range(0, 20, 2)]
        called += [distinguishable(a, b, ACCURACY, noise) for a, b in pairs]
    assert 0.02 <= np.mean(called) <= 0.09


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(100):
        frame = simulated(rng, 6, 3, 0.01, gap=0.05)
        designs = by_design(frame, OBJECTIVES)
        found.append(
            distinguishable(designs.iloc[0], designs.iloc[1], ACCURACY, estimate_noise(frame))
        )
    assert np.mean(found) >= 0.9


def test_an_interval_covers_the_truth_in_nineteen_of_twenty_cases() -> None:
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(40):
        frame = simulated(rng, 10, 2, 0.03)
        noise = estimate_noise(frame)
        for _, design in by_design(frame, OBJECTIVES).iterrows():
            bounds = interval(design, "accuracy", noise)
            assert bounds is not None
            covered.append(bounds[0] <= 0.5 <= bounds[1])
    assert 0.91 <= np.mean(covered) <= 0.98


def design(**columns: float) -> pd.Series:
    return pd.Series({"seeds": 1, **columns})


def test_ratios_are_compared_by_their_own_intervals() -> None:
    def ratio(value: float, low: float, high: float) -> pd.Series:
        return design(prefill_ratio=value, prefill_ratio_low=low, prefill_ratio_high=high)

    one = ratio(0.50, 0.49, 0.51)
    assert interval(one, "prefill_ratio", Noise()) == pytest.approx((0.49, 0.51))
    assert distinguishable(one, ratio(0.51, 0.50, 0.52), RATIO, Noise()) is False
    assert distinguishable(one, ratio(0.55, 0.54, 0.56), RATIO, Noise()) is True
    assert distinguishable(one, design(prefill_ratio=0.55), RATIO, Noise()) is None
    assert distinguishable(design(prefill_ratio=0.5), one, RATIO, Noise()) is None
    # Only the sides that face each other count.
    assert distinguishable(ratio(0.5, 0.1, 0.51), ratio(0.55, 0.54, 0.9), RATIO, Noise()) is True


def test_counts_are_exact_and_other_columns_unknown() -> None:
    one, two = design(kv_cache_bytes=10.0, mood=1.0), design(kv_cache_bytes=11.0, mood=2.0)
    assert interval(one, "kv_cache_bytes", Noise()) == (10.0, 10.0)
    assert distinguishable(one, two, BYTES, Noise()) is True
    assert distinguishable(one, one, BYTES, Noise()) is False
    assert distinguishable(one, two, Objective("mood", "max"), Noise()) is None


def test_the_report_says_what_noise_lets_one_say() -> None:
    frame = trials(
        ("small", 0, 0.500, 10),
        ("small", 1, 0.502, 10),
        ("twin", 0, 0.502, 10),
        ("twin", 1, 0.504, 10),
        ("worse", 0, 0.300, 10),
        ("large", 0, 0.900, 20),
        ("large", 1, 0.902, 20),
        ("wasteful", 0, 0.901, 30),
    )
    report = front_report(frame, OBJECTIVES).set_index("key")
    assert report.index[report["on_front"]].tolist() == ["twin", "large"]
    assert report["within_noise_of_front"].to_dict() == {
        "small": True,
        "twin": False,
        "worse": False,
        "large": False,
        "wasteful": False,
    }
    assert report["same_as"].to_dict() == {k: [] for k in report.index}
    assert report["trial"].tolist() == [0, 2, 4, 5, 7]
    assert report["knee"].sum() == 1


def test_front_designs_that_noise_cannot_tell_apart_name_each_other() -> None:
    frame = trials(
        ("a", 0, 0.500, 10),
        ("a", 1, 0.510, 10),
        ("b", 0, 0.502, 10),
        ("c", 0, 0.9, 10),
        prefill_ratio=[0.5, 0.5, 0.501, 0.6],
        prefill_ratio_low=[0.49, 0.49, 0.49, 0.59],
        prefill_ratio_high=[0.51, 0.51, 0.51, 0.61],
    )
    report = front_report(frame, (ACCURACY, RATIO))
    # b costs more and does worse than a, but not by more than noise.
    assert report["on_front"].tolist() == [True, False, True]
    assert report["within_noise_of_front"].tolist() == [False, True, False]
    frame.loc[2, "accuracy"] = 0.506
    report = front_report(frame, (ACCURACY, RATIO))
    assert report["same_as"].tolist() == [[2], [0], []]


def test_the_report_says_where_noise_is_unknown() -> None:
    frame = trials(("a", 0, 0.5, 10), ("b", 0, 0.4, 10), ("c", 0, 0.3, 12), ("d", 0, 0.9, 20))
    report = front_report(frame, OBJECTIVES)
    assert report["within_noise_of_front"].isna().tolist() == [False, True, False, False]
    # Bytes are exact, so front points that differ in them are known to differ.
    assert report["same_as"].tolist() == [[], [], [], []]
    frame["seconds"] = [1.0, 2.0, 3.0, 4.0]
    ratios = front_report(frame, parse_objectives({"accuracy": "max", "seconds": "min"}))
    assert ratios["same_as"].tolist() == [None, [], [], None]


def test_an_empty_frame_gives_an_empty_report() -> None:
    assert front_report(trials(("a", 0, 0.5, 1)).iloc[:0], OBJECTIVES).empty


def test_a_hundred_thousand_trials_are_reported_in_seconds() -> None:
    rng = np.random.default_rng(4)
    n = 100_000
    cost = rng.random(n)
    frame = pd.DataFrame(
        {
            "trial": range(n),
            "key": [f"{i % 99_000:016x}" for i in range(n)],
            "seed": [int(i >= 99_000) for i in range(n)],
            "origin": "random",
            "state": "complete",
            "accuracy": np.sqrt(cost) - rng.exponential(0.05, n),
            "prefill_ratio": cost,
            "prefill_ratio_low": cost * 0.99,
            "prefill_ratio_high": cost * 1.01,
            "kv_cache_bytes": np.round(rng.random(n) * 20),
        }
    )
    report = front_report(frame, (ACCURACY, RATIO, BYTES))
    assert report["on_front"].sum() > 100


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("accuracy_lm", "trained"),
        ("recall_right", "trained"),
        ("bits_per_byte", "trained"),
        ("validation_loss", "trained"),
        ("perplexity", "trained"),
        ("bleu", "trained"),
        ("chrf", "trained"),
        ("kv_cache_bytes", "exact"),
        ("bright", "unknown"),
        ("accuracy_se", "unknown"),
        ("accuracy_lm_sd", "unknown"),
        ("predicted_prefill_2048_ratio", "predicted"),
        ("predicted_peak_bytes", "predicted"),
        ("seconds", "unknown"),
    ],
)
def test_what_a_trained_model_scores_varies_with_the_seed(column: str, kind: str) -> None:
    assert kind_of(column, [column]) == kind


def test_a_prediction_is_never_told_from_another_even_with_bounds() -> None:
    def predicted(ratio: float) -> pd.Series:
        name = "predicted_decode_2048_ratio"
        return design(**{name: ratio, f"{name}_low": ratio, f"{name}_high": ratio})

    objective = Objective("predicted_decode_2048_ratio", "min")
    assert distinguishable(predicted(0.1), predicted(0.9), objective, Noise()) is None


def test_columns_that_say_something_of_another_are_no_metrics() -> None:
    names = ["accuracy", "accuracy_se", "decode_24_ratio", "decode_24_ratio_low"]
    names += ["decode_24_ratio_high", "decode_24_processes", "accuracy_fold_sd"]
    frame = pd.DataFrame({name: [1.0, 2.0] for name in names}).assign(key="a", seed=[0, 1])
    assert metric_columns(frame) == ["accuracy", "decode_24_ratio"]
    assert list(estimate_noise(frame).seed_sd) == ["accuracy"]


# moderation


def test_a_design_with_seeds_of_its_own_is_between_its_own_deviation_and_the_pooled_one() -> None:
    noise = Noise({"accuracy": (0.02, 1000)})
    calm, plain, wild = noise.half_width("accuracy", 3, [0.0, 0.02, 0.1])
    alone = noise.half_width("accuracy", 3)
    assert 0 < calm < alone < wild
    assert plain == pytest.approx(alone, rel=0.1)
    # Four seeds' worth of the pooled deviation, two of its own.
    assert calm / plain == pytest.approx((4 / 6) ** 0.5)
    few = Noise({"accuracy": (0.02, 2)}).half_width("accuracy", 3, 0.02)
    assert few == pytest.approx(Noise({"accuracy": (0.02, 2)}).half_width("accuracy", 3))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.8])  # of the designs' log deviations
def test_moderated_intervals_cover_the_truth_over_two_thousand_runs(
    seeds: int, spread: float
) -> None:
    rng = np.random.default_rng(seeds)
    deviations = np.exp(spread * rng.normal(size=(2000, 12)))
    values = deviations[:, :, None] * rng.normal(size=(2000, 12, seeds))  # (runs, designs, seeds)
    own = values.std(axis=2, ddof=1)
    pooled = np.sqrt((own**2).mean(axis=1))
    covered = [
        np.abs(run.mean(axis=1)) < Noise({"a": (sd, 12 * (seeds - 1))}).half_width("a", seeds, of)
        for run, sd, of in zip(values, pooled, own, strict=True)
    ]
    assert 0.93 <= np.mean(covered) <= 0.97

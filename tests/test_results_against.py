"""Search against presets and against random on simulated runs in which the truth is known."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from results import Noise, against_presets, against_random, parse_objectives

OBJECTIVES = parse_objectives({"accuracy": "max", "kv_cache_bytes": "min"})
ACCURACY = {25.0: 0.50, 50.0: 0.58, 100.0: 0.60}  # what a cache of so many bytes gives
PRESETS = {"mqa": 25.0, "gqa": 50.0, "mha": 100.0}
SD = 0.01


class Rows:
    """The rows of a run as they come."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.rows: list[dict[str, object]] = []

    def add(self, key: str, seed: int, origin: str, accuracy: float, cache: float) -> None:
        number = len(self.rows)
        self.rows.append(
            {
                "trial": number, "told_at": number, "key": key, "seed": seed, "origin": origin,
                "state": "complete", "accuracy": accuracy + SD * self.rng.normal(),
                "kv_cache_bytes": cache,
            }
        )  # fmt: skip

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows)


def a_run(
    seed: int, gain: float = 0.0, *, searched: int = 30, random: int = 10, finalists: int = 3
) -> pd.DataFrame:
    """Presets under two seeds, proposals of which the searched are better by `gain`, finalists."""
    run = Rows(seed)
    for name, cache in PRESETS.items():
        for each in (0, 1):
            run.add(name, each, f"preset:{name}", ACCURACY[cache], cache)
    truth: dict[str, tuple[float, float]] = {}
    for number in range(searched + random):
        origin = "strategy:evolution" if number < searched else "random"
        cache = float(run.rng.choice(list(ACCURACY)))
        key = f"d{number}"
        truth[key] = (ACCURACY[cache] + gain * (origin != "random"), cache)
        run.add(key, 0, origin, *truth[key])
    frame = run.frame()
    proposals = frame[frame["key"].isin(list(truth))].sort_values("accuracy", ascending=False)
    for key in proposals["key"].head(finalists):
        for each in (1, 2):
            run.add(key, each, "finalist", *truth[key])
    return run.frame()


# presets


def test_where_nothing_was_gained_that_is_what_it_says() -> None:
    runs = [a_run(seed, searched=6, random=2) for seed in range(200)]
    compared = [against_presets(run, OBJECTIVES) for run in runs]
    nothing = [found for found in compared if not found.gained]
    assert len(nothing) >= 190
    assert nothing[0].sentences() == [
        "Against the presets the search gained nothing beyond noise (3 found designs compared, "
        "trained again)."
    ]
    assert nothing[0].adding == nothing[0].first == ()


def test_a_real_gain_is_found_with_its_size() -> None:
    found = against_presets(a_run(0, gain=0.08), OBJECTIVES)
    assert found.fresh
    assert found.found == 3
    assert len(found.adding) == 3
    (mha,) = (gain for gain in found.gains if gain.preset == "mha")
    accuracy, cache = mha.best
    assert accuracy.low < 0.08 < accuracy.high
    assert (accuracy.verdict, cache.verdict) == ("better", "within noise")
    first, second = found.sentences(str.upper)
    assert re.fullmatch(
        rf"The search found 3 trade-offs that no preset offers \(3 found designs compared, trained "
        rf"again\); trial {found.adding[0]} against gqa, the strongest preset: ACCURACY "
        rf"\+0\.\d+ \(.*\), KV_CACHE_BYTES × \d\.\d\d\.",
        first,
    )
    assert f"mha by trial {mha.beaten_by[0]}" in second


def of_equal_accuracy(seed: int, found: float = 25.0) -> Rows:
    """Presets that only their caches tell apart, the smallest 100 B, and one found design."""
    run = Rows(seed)
    for number, name in enumerate(("mha", "gqa", "mqa")):
        for each in (0, 1):
            run.add(name, each, f"preset:{name}", 0.6, 400.0 / 2**number)
    run.add("found", 0, "strategy:evolution", 0.6, found)
    for each in (1, 2):
        run.add("found", each, "finalist", 0.6, found)
    return run


def test_equal_accuracy_in_a_quarter_of_the_cache_is_a_gain_whatever_the_luck() -> None:
    compared = [against_presets(of_equal_accuracy(s).frame(), OBJECTIVES) for s in range(20)]
    assert [found.adding for found in compared] == [(6,)] * 20
    for found in compared:
        first, second = found.sentences()
        assert first.startswith("The search found a trade-off that no preset offers (1 found ")
        assert "against mqa, the strongest preset: accuracy " in first
        assert first.endswith("kv_cache_bytes × 0.25.")
        beaten = [gain.preset for gain in found.gains if gain.beaten_by]
        named = f"{', '.join(beaten)} by trial 6."
        assert second == f"{len(beaten)} of 3 presets are beaten outright: {named}"
    assert np.mean([len(found.gains[0].beaten_by) for found in compared]) >= 0.9


def test_the_order_of_presets_and_designs_is_not_that_of_their_luck() -> None:
    for seed in range(20):
        run = of_equal_accuracy(seed)
        for number, cache in enumerate((60.0, 12.0)):
            for each in (1, 2):
                run.add(f"other{number}", each, "finalist", 0.6, cache)
            run.add(f"other{number}", 0, "random", 0.6, cache)
        noise = Noise({"accuracy": (0.02, 20)})  # twice the true one: no difference is beyond it
        found = against_presets(run.frame(), OBJECTIVES, noise)
        assert [gain.preset for gain in found.gains] == ["mqa", "gqa", "mha"]
        assert found.adding == found.gains[0].beaten_by == (12, 6, 9)


def test_several_objectives_with_noise_are_judged_together() -> None:
    gained = [against_presets(with_latencies(seed), THREE).gained for seed in range(100)]
    assert np.mean(gained) <= 0.05


THREE = parse_objectives(
    {"accuracy": "max", "prefill_2048_ratio": "min", "decode_2048_ratio": "min"}
)


def with_latencies(seed: int) -> pd.DataFrame:
    """One preset and finalists that are as good as it, each with two ratios of its own."""
    run = Rows(seed)
    for each in (0, 1, 2):
        run.add("mha", each, "preset:mha", 0.6, 1.0)
    for number in range(3):
        for each, origin in enumerate(("random", "finalist", "finalist")):
            run.add(f"d{number}", each, origin, 0.6, 1.0)
    frame = run.frame()
    for cell in ("prefill_2048", "decode_2048"):
        of_key = {key: np.exp(0.03 * run.rng.normal()) for key in frame["key"].unique()}
        ratio = frame["key"].map(of_key)
        for end, factor in (("", 1.0), ("_low", np.exp(-0.0588)), ("_high", np.exp(0.0588))):
            frame[f"{cell}_ratio{end}"] = ratio * factor
    return frame


def test_a_finalist_that_broke_a_limit_is_not_compared() -> None:
    run = of_equal_accuracy(0)
    frame = run.frame()
    last = {"state": "infeasible", "accuracy": np.nan, "trial": 9, "seed": 3}
    broken = pd.concat([frame, frame.iloc[-1:].assign(**last)], ignore_index=True)
    assert against_presets(frame, OBJECTIVES).gained
    assert against_presets(broken, OBJECTIVES).reason == (
        "no found design has a value for every objective"
    )


def test_the_lucky_seed_that_picked_a_finalist_does_not_count() -> None:
    run = Rows(0)
    for name, cache in PRESETS.items():
        for each in (0, 1, 2):
            run.add(name, each, f"preset:{name}", ACCURACY[cache], cache)
    run.add("lucky", 0, "strategy:evolution", 0.90, 100.0)
    single = against_presets(run.frame(), OBJECTIVES)
    assert not single.fresh
    assert single.adding == (9,)
    assert "of one training, in part lucky" in single.sentences()[0]
    for each in (1, 2):
        run.add("lucky", each, "finalist", 0.60, 100.0)
    again = against_presets(run.frame(), OBJECTIVES)
    assert again.fresh
    assert again.adding == ()


def test_a_trade_off_of_its_own_adds_without_beating_any_preset() -> None:
    run = Rows(1)
    for each in (0, 1, 2):
        run.add("small", each, "preset:small", 0.3, 10.0)
        run.add("large", each, "preset:large", 0.9, 100.0)
    run.add("between", 0, "random", 0.6, 50.0)
    for each in (1, 2):
        run.add("between", each, "finalist", 0.6, 50.0)
    found = against_presets(run.frame(), OBJECTIVES)
    assert found.adding == (6,)
    assert [gain.beaten_by for gain in found.gains] == [(), ()]
    assert found.sentences()[1] == "No preset is beaten outright."
    assert found.gains[0].in_words().startswith("no found design beats ")


def test_a_preset_that_was_found_again_is_no_gain() -> None:
    run = Rows(2)
    for each in (0, 1):
        run.add("mha", each, "preset:mha", 0.6, 100.0)
    run.add("mha", 0, "strategy:evolution", 0.9, 100.0)
    found = against_presets(run.frame(), OBJECTIVES)
    assert found.reason == "no found design has a value for every objective"


def test_many_single_trainings_are_judged_with_intervals_for_all_of_them() -> None:
    runs = [a_run(seed, searched=100, random=0, finalists=0) for seed in range(30)]
    false = [bool(against_presets(run, OBJECTIVES).adding) for run in runs]
    assert np.mean(false) <= 0.05


@pytest.mark.parametrize(
    ("drop", "reason"),
    [
        ("preset:", "no preset has a value for every objective"),
        ("strategy:|random|finalist", "no found design has a value for every objective"),
    ],
)
def test_without_either_side_nothing_is_said(drop: str, reason: str) -> None:
    frame = a_run(0)
    found = against_presets(frame[~frame["origin"].str.contains(drop)], OBJECTIVES)
    assert found.reason == reason
    assert found.sentences() == [
        f"Nothing can be said of the search against the presets: {reason}."
    ]


def test_without_a_repeated_seed_nothing_is_said_of_the_presets() -> None:
    frame = a_run(0, finalists=0)
    found = against_presets(frame[frame["seed"] == 0], OBJECTIVES)
    assert found.reason == "the noise of accuracy is unknown"


# random


def continuous(seed: int, shift: float, searched: int = 40, random: int = 40) -> pd.DataFrame:
    """Proposals whose accuracy rises with their cache; the searched are better by `shift`."""
    rng = np.random.default_rng(seed)
    n = searched + random
    cache = rng.random(n)
    is_searched = np.arange(n) < searched
    return pd.DataFrame(
        {
            "trial": range(n), "key": [f"d{i}" for i in range(n)], "seed": 0,
            "origin": np.where(is_searched, "strategy:evolution", "random"), "state": "complete",
            "accuracy": np.sqrt(cache) - rng.exponential(0.1, n) + shift * is_searched,
            "kv_cache_bytes": cache,
        }
    )  # fmt: skip


def test_draws_of_one_distribution_are_rarely_told_apart() -> None:
    found = [against_random(continuous(seed, 0.0), OBJECTIVES, draws=200) for seed in range(60)]
    told = [each.low > 0 or each.high < 0 for each in found]
    assert np.mean(told) <= 0.12
    assert "within noise of each other" in found[told.index(False)].sentence


def test_a_better_search_is_found_better_and_a_worse_one_worse() -> None:
    better = [against_random(continuous(s, 0.15), OBJECTIVES, draws=200) for s in range(10)]
    worse = [against_random(continuous(s, -0.15), OBJECTIVES, draws=200) for s in range(10)]
    assert sum(each.low > 0 for each in better) >= 9
    assert sum(each.high < 0 for each in worse) >= 9
    assert better[0].sentence.startswith(
        "Searched designs dominate more than random ones: drawing 40 designs of each, +"
    )


def test_more_searched_designs_are_no_advantage_for_that_alone() -> None:
    runs = [continuous(seed, 0.0, searched=160, random=20) for seed in range(40)]
    found = [against_random(run, OBJECTIVES, draws=200) for run in runs]
    assert abs(np.mean([each.difference for each in found])) < 0.02
    assert np.mean([each.low > 0 for each in found]) <= 0.1


def test_too_few_designs_say_nothing_and_why() -> None:
    found = against_random(continuous(0, 0.0, searched=50, random=19), OBJECTIVES)
    assert not found.enough
    assert (found.searched, found.random) == (50, 19)
    assert found.sentence == (
        "Nothing can be said of the search against random sampling: it takes 20 designs of each, "
        "but there are 50 searched, 19 random."
    )


def test_trainings_of_finalists_count_for_neither_and_what_came_to_nothing_counts() -> None:
    frame = continuous(0, 0.0)
    again = frame.iloc[:5].assign(origin="finalist", seed=1, accuracy=5.0, trial=range(80, 85))
    pruned = frame.iloc[5:8].assign(key=["p1", "p2", "p3"], state="pruned", accuracy=np.nan)
    lost = frame.iloc[8:9].assign(key="l1", state="lost", accuracy=np.nan)
    plain = against_random(frame, OBJECTIVES)
    more = against_random(pd.concat([frame, again], ignore_index=True), OBJECTIVES)
    assert more == plain
    counted = against_random(pd.concat([frame, pruned, lost], ignore_index=True), OBJECTIVES)
    assert (plain.searched, counted.searched, counted.random) == (40, 43, 40)

"""A latency is a ratio over layouts of the memory, and its interval is honest."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from evaluator import RepeatConfig, measure_pair
from evaluator.latency import (
    LAYOUT_SD,
    LEAST_PAIRS,
    PAIRS_A_LAYOUT,
    Make,
    PairedLatency,
    _trimmed,
    spread,
)
from evaluator.timers import HostTimer

QUICK = RepeatConfig(least=LEAST_PAIRS, most=LEAST_PAIRS, seconds=0.1)


class Clock:
    """Time that passes in work alone, so that no other process can disturb a test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def busy(self, *milliseconds: float) -> Make:
        """Work that takes so long, one value after the other."""
        turn = 0

        def work() -> None:
            nonlocal turn
            self.now += milliseconds[turn % len(milliseconds)] / 1e3
            turn += 1

        return lambda: work


@pytest.fixture
def clock() -> Clock:
    return Clock()


def timed_on(clock: Clock, candidate: Make, reference: Make, config: RepeatConfig) -> PairedLatency:
    return measure_pair(candidate, reference, config, HostTimer(clock))


def test_work_that_takes_twice_as_long_has_an_interval_around_two(clock: Clock) -> None:
    timed = timed_on(clock, clock.busy(6), clock.busy(3), RepeatConfig())
    low, high = timed.interval
    assert low <= 2 <= high
    assert timed.ratio == pytest.approx(2)
    assert (timed.candidate_ms, timed.reference_ms) == pytest.approx((6, 3))
    assert timed.settled
    assert timed.pairs >= 12
    assert timed.drift == pytest.approx(0)


def test_a_machine_that_slows_down_does_not_move_the_ratio_and_is_said(clock: Clock) -> None:
    speeds = [1] * 20 + [1.5] * 200
    candidate = clock.busy(*(4 * speed for speed in speeds))
    reference = clock.busy(*(2 * speed for speed in speeds))
    config = RepeatConfig(least=32, most=32)
    timed = timed_on(clock, candidate, reference, config)
    assert timed.ratio == pytest.approx(2)
    assert timed.drift == pytest.approx(0.5)


def test_a_neighbour_that_takes_the_core_now_and_then_does_not_move_the_ratio(
    clock: Clock,
) -> None:
    """A few samples are much longer; the best of each layout are not."""
    candidate = clock.busy(3, 3, 3, 3, 9, 3, 3, 3, 3, 3, 30)
    reference = clock.busy(3, 3, 6, 3, 3, 3, 3)
    timed = timed_on(clock, candidate, reference, RepeatConfig(least=40, most=40))
    assert timed.ratio == pytest.approx(1)


def test_a_measurement_that_did_not_settle_says_so(clock: Clock) -> None:
    erratic = clock.busy(3, 4, 5, 6, 9, 12, 8, 7, 30, 20, 12, 30, 40)
    config = RepeatConfig(tolerance=0.01, least=8, most=8)
    timed = timed_on(clock, erratic, clock.busy(2.5), config)
    assert not timed.settled
    low, high = timed.interval
    assert high / low > 1.4


def test_a_cap_of_time_ends_a_measurement_after_two_layouts(clock: Clock) -> None:
    erratic = clock.busy(3, 3, 3, 9, 3, 15, 9)
    config = RepeatConfig(tolerance=0.001, least=LEAST_PAIRS, most=1000, seconds=0.05)
    timed = timed_on(clock, erratic, clock.busy(2.5), config)
    assert timed.pairs == LEAST_PAIRS
    assert timed.layouts == 2


def test_work_too_long_for_its_time_has_two_layouts_of_two_pairs(clock: Clock) -> None:
    config = RepeatConfig(seconds=10)
    timed = timed_on(clock, clock.busy(3000), clock.busy(1500), config)
    assert (timed.layouts, timed.pairs) == (2, 4)
    assert timed.ratio == pytest.approx(2)
    low, high = timed.interval
    assert 1.9 < low < 2 < high < 2.1


def test_both_are_built_anew_for_every_layout(clock: Clock) -> None:
    built = [0, 0]

    def make(which: int) -> Make:
        def anew() -> Callable[[], object]:
            built[which] += 1
            return clock.busy(3)()

        return anew

    config = RepeatConfig(least=12, most=12)
    timed = timed_on(clock, make(0), make(1), config)
    assert timed.layouts == 12 // PAIRS_A_LAYOUT
    assert built == [timed.layouts, timed.layouts]


def test_a_layout_of_the_memory_that_is_slow_is_one_of_many(clock: Clock) -> None:
    """One layout in ten makes the candidate a half slower; the trimmed mean leaves it out."""
    layout = 0

    def candidate() -> Callable[[], object]:
        nonlocal layout
        layout += 1
        return clock.busy(4.5 if layout == 3 else 3)()

    config = RepeatConfig(least=40, most=40)
    assert timed_on(clock, candidate, clock.busy(3), config).ratio == pytest.approx(1)


def test_short_work_is_repeated_within_a_sample(clock: Clock) -> None:
    calls = [0, 0]

    def count(which: int) -> Make:
        def work() -> None:
            calls[which] += 1
            clock.now += (2**-20, 2**-18)[which]  # powers of two add up exactly

        return lambda: work

    timed = timed_on(clock, count(0), count(1), QUICK)
    assert timed.pairs == LEAST_PAIRS
    # two layouts warm up once each, one call finds the number of loops, samples take 2 ms
    assert calls == [3 + LEAST_PAIRS * 2098, 3 + LEAST_PAIRS * 525]


def test_real_work_has_a_duration() -> None:
    numbers = torch.randn(64, 64)

    def make() -> Callable[[], object]:
        return lambda: numbers @ numbers

    timed = measure_pair(make, make, QUICK)
    low, high = timed.interval
    assert 0 < low <= timed.ratio <= high
    assert timed.candidate_ms > 0


@pytest.mark.parametrize("layouts", [2, 3, 5, 10, 20])
@pytest.mark.parametrize("spread", [1.0, 2.5])
@pytest.mark.parametrize("tails", ["normal", "heavy"])
def test_the_interval_covers_the_truth_in_95_of_100_cases(
    layouts: int, spread: float, tails: str
) -> None:
    """Also where layouts spread more than was believed, and where some are outliers."""
    rng, covered, cases = np.random.default_rng(layouts), 0, 2000
    size = (cases, layouts)
    drawn = rng.normal(0, 1, size) if tails == "normal" else rng.standard_t(3, size)
    for centres in spread * LAYOUT_SD * drawn:
        centre, _, half = _trimmed(list(centres))
        covered += abs(centre) <= half
    least = 0.93 if spread == 1.0 else 0.85 if layouts == 2 else 0.91
    assert least <= covered / cases <= 0.995


def test_a_few_layouts_that_happen_to_agree_are_not_taken_at_their_word() -> None:
    centre, _, half = _trimmed([0.1, 0.1])
    assert centre == pytest.approx(0.1)
    assert half > 2 * LAYOUT_SD / math.sqrt(2)


def test_a_variance_above_what_was_believed_is_not_drawn_down() -> None:
    variance, half = spread(seen=4.0, freedom=2, believed=1.0, belief=8, count=3)
    assert variance == pytest.approx(4 / 3)
    assert half == pytest.approx(2.4469 * 2 / math.sqrt(3), rel=1e-4)  # Student's t table, 6

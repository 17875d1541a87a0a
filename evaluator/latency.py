"""Paired latency: candidate and reference alternate in one loop, and the ratio is the result.

On a shared machine absolute times of the same code spread by a quarter to a half between
processes; the ratio to a reference timed in the same loop spreads by a few percent.
"""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

# Standard deviation of the log ratio between fresh processes, which no loop inside one process
# can see. benchmarks/process_spread.py measures it: .012 and .026 on one machine (docs/log.md), up
# to .038 reported from another. The larger, so that intervals err on the wide side.
BETWEEN_PROCESSES_SD = 0.035
SHORTEST_SAMPLE_S = 0.002  # below this, timer and scheduler are a visible part


class RepeatConfig(BaseModel):
    """How often a latency is sampled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tolerance: float = Field(
        default=0.03, gt=0, lt=1, description="half width of the 95% interval wanted"
    )
    least: int = Field(default=9, ge=6, description="pairs of samples at least")
    most: int = Field(default=60, ge=6, description="pairs of samples at most")
    seconds: float = Field(default=10.0, gt=0, description="time at most for one latency")


Clock = Callable[[], float]  # seconds


@dataclass(frozen=True, slots=True)
class PairedLatency:
    """A median ratio with its 95% interval, and the absolute medians beside it."""

    ratio: float
    low: float
    high: float
    candidate_ms: float
    reference_ms: float
    pairs: int
    disturbed: int  # pairs left out for an involuntary context switch
    settled: bool  # whether the interval became as tight as was asked


def measure_pair(
    candidate: Callable[[], object],
    reference: Callable[[], object],
    config: RepeatConfig,
    clock: Clock = time.perf_counter,
) -> PairedLatency:
    """Alternate the two until the interval of the median ratio is tight, or the cap is reached."""
    loops = [_loops(candidate, clock), _loops(reference, clock)]
    clean: list[tuple[float, float]] = []
    disturbed: list[tuple[float, float]] = []
    started = clock()
    for turn in range(config.most):
        switches = _involuntary_switches()
        if turn % 2:  # whoever goes second finds warm caches; take turns
            second = _sample(reference, loops[1], clock)
            pair = (_sample(candidate, loops[0], clock), second)
        else:
            first = _sample(candidate, loops[0], clock)
            pair = (first, _sample(reference, loops[1], clock))
        (clean if _involuntary_switches() == switches else disturbed).append(pair)
        used = clean if len(clean) >= config.least else clean + disturbed
        if len(used) >= config.least:
            _, low, high = _median_interval([c / r for c, r in used])
            if high / low - 1 <= 2 * config.tolerance:
                break
        if clock() - started > config.seconds and len(used) >= 6:
            break
    used = clean if len(clean) >= config.least else clean + disturbed
    ratio, low, high = _median_interval([c / r for c, r in used])
    settled = high / low - 1 <= 2 * config.tolerance
    low, high = _with_process_spread(ratio, low, high)
    return PairedLatency(
        ratio,
        low,
        high,
        candidate_ms=1e3 * statistics.median(c for c, _ in used),
        reference_ms=1e3 * statistics.median(r for _, r in used),
        pairs=len(used),
        disturbed=len(clean) + len(disturbed) - len(used),
        settled=settled,
    )


def _median_interval(ratios: list[float]) -> tuple[float, float, float]:
    """Median and its 95% interval by order statistics, which assumes no distribution.

    The j-th smallest and j-th largest of n samples enclose the median with probability
    1 - 2 P(Binomial(n, 1/2) < j); from six samples on, j >= 1 reaches 95% (David and Nagaraja,
    Order Statistics, 2003, section 7.1).
    """
    ordered, n = sorted(ratios), len(ratios)
    below, j = 0.0, 0
    while j < n // 2:
        below += math.comb(n, j) / 2**n
        if 2 * below > 0.05:
            break
        j += 1
    j = max(1, j)
    return statistics.median(ordered), ordered[j - 1], ordered[n - j]


def _with_process_spread(ratio: float, low: float, high: float) -> tuple[float, float]:
    """Widen an interval within one process by the spread between processes, in logarithms."""
    between = 1.96 * BETWEEN_PROCESSES_SD
    down = math.hypot(math.log(ratio / low), between)
    up = math.hypot(math.log(high / ratio), between)
    return ratio * math.exp(-down), ratio * math.exp(up)


def _loops(work: Callable[[], object], clock: Clock) -> int:
    """Calls per sample, after a warm-up, so that a sample is long enough to time."""
    work()
    work()
    once = _sample(work, 1, clock)
    return max(1, math.ceil(SHORTEST_SAMPLE_S / max(once, 1e-7)))


def _sample(work: Callable[[], object], loops: int, clock: Clock) -> float:
    """Seconds per call over `loops` calls."""
    started = clock()
    for _ in range(loops):
        work()
    return (clock() - started) / loops


def _involuntary_switches() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw

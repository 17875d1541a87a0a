"""Paired latency: candidate and reference alternate in one loop, and the ratio is the result.

On a shared machine absolute times of the same code spread by a quarter to a half between
processes; the ratio to a reference timed in the same loop spreads by a few percent. That rest is
where in memory weights and caches happen to lie: built anew at another place, the same model gives
another ratio, within one process as much as between processes (benchmarks/process_spread.py). So
both are built anew every few pairs, and the interval is that of the mean over such layouts, an idea
of Curtsinger and Berger 2013, "Stabilizer". A neighbour only ever makes work slower, so a layout's
ratio is that of the best samples of a few: in decoding on a busy machine, where it matters most, it
spread least of six estimates (benchmarks/estimates.py, docs/log.md).
"""

from __future__ import annotations

import math
import resource
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

import torch
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import stdtrit

from evaluator.timers import HostTimer, Run, Timer

# Even, so that each goes second equally often. Samples so long that the least of them would not fit
# into the time outlast what disturbs short ones.
PAIRS_A_LAYOUT, PAIRS_A_LONG_LAYOUT = 4, 2
# Spread of the log ratio between layouts before any was seen, and how many layouts that belief
# counts for; benchmarks/process_spread.py: .007 to .02 on a calm machine, to .05 on a busy one.
LAYOUT_SD, LAYOUT_DF = 0.015, 3
# What is cheap is looked at for so long at least: three layouts agree by chance now and then, and
# to stop there is to believe the luckiest (docs/log.md).
LEAST_SECONDS = 1.0
TRIMMED = 7  # one layout in so many is left out at either end
SHORTEST_SAMPLE_S = 0.002  # below this, timer and scheduler are a visible part
LEAST_LAYOUTS = 2  # whatever the time
LEAST_PAIRS = LEAST_LAYOUTS * PAIRS_A_LAYOUT
DRIFT = 0.1  # change of the reference's own time within one loop that is worth a remark

Make = Callable[[], Run]  # builds the work anew, at another place in memory


class RepeatConfig(BaseModel):
    """How often a latency is sampled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tolerance: float = Field(
        default=0.03, gt=0, lt=1, description="half width of the 95% interval wanted"
    )
    least: int = Field(default=12, ge=6, description="pairs of samples at least")
    most: int = Field(default=160, ge=6, description="pairs of samples at most")
    seconds: float = Field(default=10.0, gt=0, description="time at most for one latency")


@dataclass(frozen=True, slots=True)
class PairedLatency:
    """A ratio as one process saw it, and the absolute medians beside it."""

    log_ratio: float  # trimmed mean over layouts
    variance: float  # of that mean
    half: float  # of its 95% interval, for this process alone
    layout_sd: float  # of the log ratio between layouts
    candidate_ms: float
    reference_ms: float
    layouts: int
    pairs: int
    disturbed: int  # of these, pairs with an involuntary context switch; best left out
    tolerance: float  # half width of the interval that was asked for
    settled: bool  # whether it became as tight
    drift: float  # of the reference's time from the loop's first half to its second, as a share

    @property
    def ratio(self) -> float:
        """Candidate's time over the reference's."""
        return math.exp(self.log_ratio)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the ratio for this process alone."""
        return math.exp(self.log_ratio - self.half), math.exp(self.log_ratio + self.half)


@dataclass(frozen=True, slots=True)
class _Pair:
    """One sample of each, seconds per call."""

    candidate: float
    reference: float
    layout: int
    clean: bool  # nobody else ran on the core meanwhile

    def seconds(self, loops: tuple[int, int]) -> float:
        """Of both samples."""
        return self.candidate * loops[0] + self.reference * loops[1]


def measure_pair(
    candidate: Make, reference: Make, config: RepeatConfig, timer: Timer | None = None
) -> PairedLatency:
    """Alternate the two until the interval of the ratio is tight, or the cap is reached."""
    timer = timer or HostTimer()
    pairs: list[_Pair] = []
    started, loops, layout, each = timer.now(), (0, 0), 0, PAIRS_A_LAYOUT
    while True:
        with elsewhere():
            runs = timer.ready(candidate(), reference())
        if not pairs:
            loops = _loops(runs[0], timer), _loops(runs[1], timer)
        while sum(pair.layout == layout for pair in pairs) < each:
            pairs.append(_pair(runs, loops, len(pairs), layout, timer))
            if pairs[0].seconds(loops) * LEAST_PAIRS > config.seconds:
                each = PAIRS_A_LONG_LAYOUT
        del runs  # freed before the next layout is built
        layout += 1
        if layout < LEAST_LAYOUTS:
            continue
        found, spent = _summary(pairs, config.tolerance), timer.now() - started
        least = min(LEAST_SECONDS, config.seconds)
        enough = len(pairs) >= config.least and spent >= least and found.settled
        if enough or spent > config.seconds or len(pairs) + each > config.most:
            return found


def _pair(
    runs: tuple[Run, Run], loops: tuple[int, int], turn: int, layout: int, timer: Timer
) -> _Pair:
    """One sample of each; whoever goes second finds warm caches, so they take turns."""
    before = _involuntary_switches()
    seconds = [0.0, 0.0]
    for which in (0, 1) if turn % 2 == 0 else (1, 0):
        seconds[which] = timer.seconds(runs[which], loops[which])
    clean = _involuntary_switches() == before
    return _Pair(seconds[0], seconds[1], layout, clean)


def _summary(pairs: list[_Pair], tolerance: float) -> PairedLatency:
    """The mean over layouts of each one's log ratio, and what else the loop saw."""
    centres = [_log_ratio(_used(pairs, layout)) for layout in range(pairs[-1].layout + 1)]
    log_ratio, variance, half = _trimmed(centres)
    return PairedLatency(
        log_ratio,
        variance,
        half,
        layout_sd=statistics.stdev(centres),
        candidate_ms=1e3 * statistics.median(pair.candidate for pair in pairs),
        reference_ms=1e3 * statistics.median(pair.reference for pair in pairs),
        layouts=len(centres),
        pairs=len(pairs),
        disturbed=sum(not pair.clean for pair in pairs),
        tolerance=tolerance,
        settled=half <= math.log1p(tolerance),
        drift=_drift([pair.reference for pair in pairs]),
    )


def _used(pairs: list[_Pair], layout: int) -> list[_Pair]:
    """The clean pairs of a layout; all of them where none is."""
    own = [pair for pair in pairs if pair.layout == layout]
    return [pair for pair in own if pair.clean] or own


def _log_ratio(layout: list[_Pair]) -> float:
    """Of the best samples of a layout: others had to wait for somebody."""
    best = min(pair.candidate for pair in layout), min(pair.reference for pair in layout)
    return math.log(best[0] / best[1])


def _trimmed(centres: list[float]) -> tuple[float, float, float]:
    """The trimmed mean over layouts, its variance, and half of its 95% interval.

    A seventh goes at either end, since neighbours make outliers (Tukey and McLaughlin 1963).
    """
    ordered, count = sorted(centres), len(centres)
    cut = count // TRIMMED
    kept = ordered[cut : count - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    seen = statistics.variance(winsorized) / (len(kept) / count) ** 2
    variance, half = spread(seen, len(kept) - 1, LAYOUT_SD**2, LAYOUT_DF, count)
    return statistics.fmean(kept), variance, half


def spread(
    seen: float, freedom: int, believed: float, belief: int, count: int
) -> tuple[float, float]:
    """Variance and half the 95% interval of a mean of `count` values.

    Their own variance was seen with so many degrees of freedom, and is believed.

    A few values often look too much alike, so their variance is drawn up towards the belief, which
    counts for `belief` degrees of freedom (Smyth 2004, "Linear models and empirical Bayes
    methods"). It is never drawn down; and where values spread more than was believed, the belief
    counts for half.
    """
    if seen <= believed or not freedom:
        seen = (belief * believed + freedom * seen) / (belief + freedom)
        freedom += belief
    else:
        freedom += belief // 2
    return seen / count, float(stdtrit(freedom, 0.975)) * math.sqrt(seen / count)


def _drift(seconds: list[float]) -> float:
    """How much slower the second half was than the first."""
    half = len(seconds) // 2
    return statistics.median(seconds[half:]) / statistics.median(seconds[:half]) - 1


@contextmanager
def elsewhere() -> Iterator[None]:
    """Blocks of odd sizes are held while the work is built, so that it lies at another place."""
    draw = Random()
    blocks = [torch.empty(draw.randrange(1, 200_000)) for _ in range(20)]
    yield
    blocks.clear()


def _loops(run: Run, timer: Timer) -> int:
    """Calls per sample, so that a sample is long enough to time."""
    return max(1, math.ceil(SHORTEST_SAMPLE_S / max(timer.seconds(run, 1), 1e-7)))


def _involuntary_switches() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw

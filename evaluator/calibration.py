"""Calibration: a profile of this machine, measured in a few seconds of small benchmarks.

Products, streams, fused attention, one kernel of each family, and decoding with a model too small
to compute anything; no design that a prediction is compared with. All take turns in one loop and
each has its median, so that a machine's slow spells hit them alike. Float32, and products the
ordinary way, as latency is measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F

from evaluator.device_profiles import Kernel, KernelFamily, Level, Profile
from evaluator.grid import Cell
from evaluator.kernels.chunked_scores import alibi_slopes, attend_with_bias
from evaluator.kernels.dense import attend_dense
from evaluator.kernels.gated_linear import attend_gated_linear
from evaluator.kernels.linear import attend_linear
from evaluator.kernels.sliding_window import attend_sliding_window
from evaluator.kernels.strided import attend_strided
from evaluator.model import model_of
from evaluator.model_operations import forward_operations
from evaluator.operation import Pairs
from evaluator.roofline import pairs_seconds, piece_launches
from evaluator.timers import HostTimer
from evaluator.work import work_of
from search_space import SlidingWindow, Strided, preset

ROUNDS, SAMPLE_S = 15, 0.002

# (rows, channels in, channels out) of projections and MLPs in prefill.
PRODUCTS = ((512, 128, 128), (512, 256, 704), (2048, 256, 256), (1024, 512, 512))
STREAMED_BYTES = tuple(1 << n for n in (19, 21, 23, 25, 28))  # half of it read, half written
DIMS = (8, 16, 32, 64)
HEADS, LENGTH, DIM = 8, 1024, 32  # of the kernels
WINDOWS, STRIDES = (64, 256), (32, 128)
VOCABULARY = 256

# Fused attention on a CPU leaves out hidden keys 512 at a time, half of which are hidden on average
# (benchmarks/kernels.py); chunks of 64 rows and pieces of 128 (kernels/parts.py, kernels/scan.py).
SPARE: dict[KernelFamily, int] = {
    "dense": 256,
    "chunked": 64,
    "merged": 128,
    "linear": 128,
    "gated-linear": 128,
    "scored": 0,
}

Runs = dict[str, Callable[[], object]]
Seconds = dict[str, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """A kernel that is timed, and what it attends to in one head."""

    family: KernelFamily
    attended: int
    run: Callable[[], object]


def profile_of_this_machine(threads: int) -> Profile:
    """What this machine does with so many threads, by the name "here"."""
    samples = kernel_samples()
    with torch.no_grad(), _threads(threads):
        tiny, launches = _tiny_model()
        runs = _products() | _streams() | _fused_attention() | {"tiny": tiny}
        runs |= {f"kernel {number}": sample.run for number, sample in enumerate(samples)}
        seconds = median_seconds(runs)
    flops = statistics.median(2 * math.prod(p) / seconds[f"product {p}"] for p in PRODUCTS)
    caches = tuple(Level(size, size / seconds[f"stream {size}"]) for size in STREAMED_BYTES)
    plain = Profile(
        "here",
        flops,
        caches[-1].bandwidth,
        seconds["tiny"] / launches,
        4,
        f"measured here, {threads} thread(s), float32",
        statistics.median(_exponentials(dim, seconds[f"dim {dim}"], flops) for dim in DIMS),
        caches,
        {family: Kernel(spare) for family, spare in SPARE.items()},
    )
    times = [seconds[f"kernel {number}"] for number in range(len(samples))]
    return _with_shares(plain, samples, times)


def _with_shares(plain: Profile, samples: Sequence[Sample], times: Sequence[float]) -> Profile:
    """The profile with what kernels reach of it, a median by family; dense ones made it."""
    shares: dict[KernelFamily, list[float]] = {family: [] for family in SPARE}
    for sample, seconds in zip(samples, times, strict=True):
        shares[sample.family].append(_share(sample, seconds, plain))
    found = {family: statistics.median(several or [1.0]) for family, several in shares.items()}
    return replace(plain, kernels={f: Kernel(spare, found[f]) for f, spare in SPARE.items()})


def median_profile(several: Sequence[Profile]) -> Profile:
    """The median of each figure, of one machine measured at different times."""

    def middle(figure: Callable[[Profile], float]) -> float:
        return statistics.median(figure(profile) for profile in several)

    first = several[0]
    caches = [
        Level(level.capacity, middle(lambda p, i=i: p.caches[i].bandwidth))
        for i, level in enumerate(first.caches)
    ]
    kernels = {
        family: Kernel(kernel.spare, middle(lambda p, f=family: p.kernels[f].share))
        for family, kernel in first.kernels.items()
    }
    return replace(
        first,
        flops=middle(lambda p: p.flops),
        bandwidth=middle(lambda p: p.bandwidth),
        overhead_s=middle(lambda p: p.overhead_s),
        exponentials=middle(lambda p: p.exponentials),
        caches=tuple(caches),
        kernels=kernels,
    )


def median_seconds(runs: Runs) -> Seconds:
    """Seconds of a call of each: they take turns, in samples long enough to time."""
    loops = {name: max(1, round(SAMPLE_S / _seconds(run, 2))) for name, run in runs.items()}
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            found[name].append(_seconds(run, loops[name]))
    return {name: statistics.median(times) for name, times in found.items()}


def _seconds(run: Callable[[], object], loops: int) -> float:
    """Seconds per call, after one that fetches what the runs before it have put out of caches."""
    run()
    return HostTimer().seconds(run, loops)


def _products() -> Runs:
    """Projections of (rows, channels in, channels out)."""
    return {
        f"product {(rows, width, out)}": partial(
            F.linear, torch.randn(rows, width), torch.randn(out, width)
        )
        for rows, width, out in PRODUCTS
    }


def _streams() -> Runs:
    """Reading one half of some bytes and writing the other."""
    halves = {size: (torch.ones(size // 8), torch.ones(size // 8)) for size in STREAMED_BYTES}
    return {
        f"stream {size}": partial(torch.add, given, given, out=room)
        for size, (given, room) in halves.items()
    }


def _fused_attention() -> Runs:
    """All pairs of a sequence, by head dimension."""
    queries = {dim: torch.randn(1, 1, LENGTH, dim) for dim in DIMS}
    return {f"dim {d}": partial(attend_dense, q, q, q, causal=False) for d, q in queries.items()}


def _exponentials(dim: int, seconds: float, flops: float) -> float:
    """Pairs a second of fused attention, its products taken off."""
    return LENGTH**2 / max(seconds - 4 * dim * LENGTH**2 / flops, 0.1 * seconds)


def kernel_samples() -> list[Sample]:
    """One or two kernels of each family that is not plainly dense."""
    query = torch.randn(1, LENGTH, HEADS, DIM).transpose(1, 2)  # (B, H, T, D) as projected
    three = (query, query, query)
    decay = -0.1 * torch.rand(1, HEADS, LENGTH)
    windows = [(w, SlidingWindow(w).causal_pairs(LENGTH)) for w in WINDOWS]
    strides = [(s, Strided(s).causal_pairs(LENGTH)) for s in STRIDES]
    return [
        *(Sample("chunked", n, partial(attend_sliding_window, *three, w)) for w, n in windows),
        *(Sample("merged", n, partial(attend_strided, *three, s)) for s, n in strides),
        Sample("linear", 0, partial(attend_linear, *three)),
        Sample("gated-linear", 0, partial(attend_gated_linear, *three, decay)),
        Sample(
            "scored", LENGTH**2, partial(attend_with_bias, *three, None, slopes=alibi_slopes(HEADS))
        ),
    ]


def _share(sample: Sample, seconds: float, profile: Profile) -> float:
    """What a kernel reaches of the speed that is predicted for it."""
    queries = HEADS * LENGTH
    pairs = Pairs(sample.family, HEADS * sample.attended, queries * LENGTH, queries, flops=4 * DIM)
    launching = piece_launches(pairs, profile) * profile.overhead_s
    return pairs_seconds(pairs, profile) / max(seconds - launching, seconds / 2)


def _tiny_model() -> tuple[Callable[[], object], float]:
    """Decoding with a model so small that nothing but launches takes time, and their number."""
    design = preset("mha", width=8, depth=8, context=16, heads=2, dim=4)
    cell = Cell("decode", 16)
    operations = forward_operations(design, cell, VOCABULARY)
    work = work_of(model_of(design, VOCABULARY), cell, None)
    return work.run, sum(operation.launches for operation in operations)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads until the end of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

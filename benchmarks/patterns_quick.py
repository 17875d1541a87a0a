"""Time of each pattern's full-sequence kernel over dense causal SDPA, beside its share of pairs.

Candidate and dense alternate in one loop; the figures are medians of paired ratios. Efficiency is
the pairs' share divided by the time's: 1 would be the dense kernel's speed per pair.

    python benchmarks/patterns_quick.py [--length 4096] [--repeats 5] [--only strided] [--masked]
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.kernels.big_bird import attend_big_bird
from evaluator.kernels.block_local import attend_block_local
from evaluator.kernels.dense import attend_dense
from evaluator.kernels.dilated_window import attend_dilated_window
from evaluator.kernels.gated_linear import attend_gated_linear
from evaluator.kernels.global_window import attend_global_window
from evaluator.kernels.hierarchical import attend_hierarchical
from evaluator.kernels.linear import attend_linear
from evaluator.kernels.low_rank import attend_low_rank
from evaluator.kernels.sink_window import attend_sink_window
from evaluator.kernels.sliding_window import attend_sliding_window
from evaluator.kernels.strided import attend_strided
from search_space import Dense, Pattern, SlidingWindow
from search_space.patterns import (
    BigBird,
    BlockLocal,
    DilatedWindow,
    GatedLinear,
    GlobalWindow,
    Hierarchical,
    Linear,
    LowRank,
    SinkWindow,
    Strided,
)

HEADS, DIM = 8, 64
Mode = Literal["causal", "bidirectional"]
Attend = Callable[..., Tensor]

ROWS: list[tuple[Pattern, Mode, Attend]] = [
    (SlidingWindow(256), "causal", attend_sliding_window),
    (SlidingWindow(64), "causal", attend_sliding_window),
    (SlidingWindow(256), "bidirectional", attend_sliding_window),
    (DilatedWindow(64, 4), "causal", attend_dilated_window),
    (DilatedWindow(256, 4), "causal", attend_dilated_window),
    (BlockLocal(256), "causal", attend_block_local),
    (BlockLocal(64), "causal", attend_block_local),
    (BlockLocal(256), "bidirectional", attend_block_local),
    (Strided(64), "causal", attend_strided),
    (Strided(256), "causal", attend_strided),
    (Strided(64), "bidirectional", attend_strided),
    (SinkWindow(256, 4), "causal", attend_sink_window),
    (SinkWindow(64, 4), "causal", attend_sink_window),
    (GlobalWindow(256, 16), "bidirectional", attend_global_window),
    (BigBird(64, 3, 1, 2), "causal", attend_big_bird),
    (BigBird(64, 3, 1, 2), "bidirectional", attend_big_bird),
    (BigBird(16, 3, 1, 2), "causal", attend_big_bird),
    (Hierarchical(256, 16), "causal", attend_hierarchical),
    (Hierarchical(256, 64), "causal", attend_hierarchical),
    (Hierarchical(64, 64), "causal", attend_hierarchical),
    (Linear(), "causal", attend_linear),
    (Linear(), "bidirectional", attend_linear),
    (GatedLinear(), "causal", attend_gated_linear),
    (LowRank(128), "bidirectional", attend_low_rank),
]


def paired(candidate: Callable[[], object], dense: Callable[[], object], repeats: int) -> float:
    """Median of candidate seconds / dense seconds, measured back to back."""
    ratios = []
    for turn in range(repeats + 1):
        started = time.perf_counter()
        candidate()
        between = time.perf_counter()
        dense()
        if turn:  # the first warms caches and allocator
            ratios.append((between - started) / (time.perf_counter() - between))
    return statistics.median(ratios)


def both_ways(attend: Attend, inputs: list[Tensor]) -> Callable[[], object]:
    """One training pass."""
    grad = torch.randn_like(attend(*inputs))
    return lambda: torch.autograd.grad(attend(*inputs), inputs, grad)


def bound(pattern: Pattern, mode: Mode, attend: Attend, length: int) -> Attend:
    """The kernel with its pattern's numbers and whatever else it learns."""
    if isinstance(pattern, GatedLinear):
        return lambda q, k, v: attend(q, k, v, torch.full((1, HEADS, length), -0.04))
    if isinstance(pattern, LowRank):
        mixers = [torch.randn(length, pattern.rank) / length**0.5 for _ in range(2)]
        return lambda q, k, v: attend(q, k, v, *mixers)
    numbers = [getattr(pattern, field.name) for field in dataclasses.fields(cast(Any, pattern))]
    return lambda q, k, v: attend(q, k, v, *numbers, causal=mode == "causal")


def masked(pattern: Pattern, mode: Mode, length: int) -> Attend:
    """What a kernel has to beat: SDPA with the pattern's mask."""
    at = torch.arange(length).numpy()
    visible = torch.from_numpy(pattern.visible(at[:, None], at[None, :], mode))
    return partial(F.scaled_dot_product_attention, attn_mask=visible)


def main() -> None:
    """A line per pattern."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--masked", action="store_true", help="compare with a masked SDPA instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    length, repeats = options.length, options.repeats
    inputs = [torch.randn(1, HEADS, length, DIM, requires_grad=True) for _ in range(3)]
    print(f"n={length}, {HEADS} heads of {DIM}, fp32, 1 thread")
    print(f"{'pattern':48} {'pairs':>6} {'fwd':>6} {'both':>6} {'eff fwd':>7} {'eff both':>8}")
    for pattern, mode, attend in ROWS:
        if options.only not in pattern.name:
            continue
        attend = bound(pattern, mode, attend, length)
        other = masked(pattern, mode, length) if options.masked else attend_dense
        with torch.no_grad():
            forward = paired(lambda: attend(*inputs), lambda: other(*inputs), repeats)  # noqa: B023
        both = paired(both_ways(attend, inputs), both_ways(other, inputs), repeats)
        pairs = pattern.attended_pairs(length, mode) / Dense().attended_pairs(length)
        name = f"{pattern.name} {pattern.describe()}, {mode}"
        print(
            f"{name:48} {pairs:6.3f} {forward:6.3f} {both:6.3f} "
            f"{pairs / forward:7.2f} {pairs / both:8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

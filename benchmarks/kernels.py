"""Time of each pattern's kernel over dense causal SDPA, forward, forward + backward and decode.

Candidate and dense alternate in one loop; the figures are medians of paired ratios.

    python benchmarks/kernels.py [--lengths 1024 4096] [--repeats 15] [--threads 1] [--write]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from evaluator.kernels import KERNELS, sliding_window
from search_space import Dense, SlidingWindow

HEADS, KV_HEADS, DIM = 8, 2, 64
TABLE = Path(__file__).parents[1] / "docs" / "kernels.md"


def paired_ratio(
    candidate: Callable[[], object], dense: Callable[[], object], repeats: int
) -> float:
    """Median over `repeats` of candidate seconds / dense seconds, measured back to back."""
    ratios = []
    for turn in range(repeats + 2):
        started = time.perf_counter()
        candidate()
        between = time.perf_counter()
        dense()
        if turn >= 2:  # the first two warm caches and allocator
            ratios.append((between - started) / (time.perf_counter() - between))
    return statistics.median(ratios)


def forward_and_backward(
    attend: Callable[..., Tensor], inputs: list[Tensor]
) -> Callable[[], object]:
    """One training pass through an attention function."""
    grad = torch.randn_like(attend(*inputs))
    return lambda: torch.autograd.grad(attend(*inputs), inputs, grad)


def sequence_row(length: int, window: int, repeats: int) -> tuple[float, float, float]:
    """Share of pairs, forward ratio, forward + backward ratio of a window at one length."""
    inputs = [torch.randn(1, HEADS, length, DIM, requires_grad=True) for _ in range(3)]
    pattern = SlidingWindow(window)
    sparse, dense = KERNELS[pattern.name](pattern).full, KERNELS[Dense.name](Dense()).full
    with torch.no_grad():
        forward = paired_ratio(lambda: sparse(*inputs), lambda: dense(*inputs), repeats)
    both = paired_ratio(
        forward_and_backward(sparse, inputs), forward_and_backward(dense, inputs), repeats
    )
    pairs = pattern.attended_pairs(length) / Dense().attended_pairs(length)
    return pairs, forward, both


def decode_ratio(context: int, kv_heads: int, window: int | None, repeats: int) -> float:
    """Time of one decoded token's attention over multi-head dense at the same context."""

    def prepared(pattern: Dense | SlidingWindow, groups: int) -> Callable[[], object]:
        kernel = KERNELS[pattern.name](pattern)
        like = torch.zeros(1)
        cache = kernel.new_cache(1, groups, DIM, context, like)
        cache.append(*(torch.randn(1, groups, context, DIM) for _ in range(2)))
        query = torch.randn(1, HEADS, 1, DIM)
        return lambda: [kernel.one(query, cache) for _ in range(20)]

    pattern = SlidingWindow(window) if window else Dense()
    with torch.no_grad():
        return paired_ratio(prepared(pattern, kv_heads), prepared(Dense(), HEADS), repeats)


def report(lengths: list[int], repeats: int) -> list[str]:
    """The tables, as Markdown lines."""
    lines = [
        "| n | window | pairs | forward | forward + backward | efficiency (fwd, both) |",
        "|---|---|---|---|---|---|",
    ]
    for length in lengths:
        for window in (64, 256, 1024):
            if window < length:
                pairs, forward, both = sequence_row(length, window, repeats)
                lines.append(
                    f"| {length} | {window} | {pairs:.3f} | {forward:.3f} | {both:.3f} "
                    f"| {pairs / forward:.2f}, {pairs / both:.2f} |"
                )
    lines += ["", "| context | KV heads | window | decode |", "|---|---|---|---|"]
    for context in lengths:
        for kv_heads, window in ((KV_HEADS, None), (1, None), (KV_HEADS, 256)):
            ratio = decode_ratio(context, kv_heads, window, repeats)
            lines.append(f"| {context} | {kv_heads} | {window or 'none'} | {ratio:.3f} |")
    return lines


def chunk_report(repeats: int) -> list[str]:
    """Forward and forward + backward ratios of the window kernel by its chunk length."""
    lines = ["| rows of a chunk | forward | forward + backward |", "|---|---|---|"]
    kept = sliding_window.CHUNK
    for chunk in (32, 64, 128, 256):
        sliding_window.CHUNK = chunk
        _, forward, both = sequence_row(4096, 256, repeats)
        lines.append(f"| {chunk} | {forward:.3f} | {both:.3f} |")
    sliding_window.CHUNK = kept
    return lines


def main() -> None:
    """Print the tables, and write them to docs/kernels.md on request."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 4096, 8192, 16384])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write docs/kernels.md")
    parser.add_argument("--chunks", action="store_true", help="compare chunk lengths instead")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.chunks:
        print("\n".join(chunk_report(options.repeats)))
        return
    lines = report(options.lengths, options.repeats)
    print("\n".join(lines))
    if options.write:
        head = [
            "# Kernels: time over dense causal SDPA",
            "",
            f"Written by `python benchmarks/kernels.py --write`: {platform.machine()} CPU, torch "
            f"{torch.__version__}, {options.threads} thread(s), float32, batch 1, {HEADS} query "
            f"heads of {DIM}; decode is against multi-head attention ({HEADS} KV heads) at the "
            "same context. Every figure is the median of paired ratios. Efficiency is the share "
            "of pairs over the share of time. CUDA has not been measured.",
            "",
        ]
        TABLE.write_text("\n".join(head + lines) + "\n")


if __name__ == "__main__":
    main()

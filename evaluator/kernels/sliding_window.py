"""Sliding-window attention whose time follows the window, forward and backward.

Rows are cut into chunks; each chunk attends to its own span of keys only, with one small band
mask shared by all chunks.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension, C rows of a chunk, M chunks.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from evaluator.kernels.cache import Range
from evaluator.kernels.dense import attend_dense
from evaluator.kernels.merge import attend_parts, parts_by_copies
from evaluator.kernels.parts import (
    EVEN_KEYS,
    Comb,
    Hidden,
    Part,
    causal_stairs,
    even_length,
    shared_keys_parts,
)
from evaluator.kernels.widths import equal_widths

# Rows of a chunk: short ones waste few keys, long ones make better matrix products.
# `benchmarks/kernels.py --chunks` compares them (docs/log.md).
CHUNK = 64

# Rows of a chunk that sees few keys: a tenth faster up to this many (benchmarks/kernels.py).
SHORT_CHUNK, SHORT_SPAN = 32, 128

# Rows of a chunk where most keys are seen, so that little is wasted.
LONG_CHUNK = 256


class SlidingWindowKernel:
    """Every position sees itself and the `window - 1` before it."""

    def __init__(self, pattern: Any) -> None:
        self.window: int = pattern.window

    def full(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, causal: bool
    ) -> Tensor:
        return attend_sliding_window(query, keys, values, self.window, scale=scale, causal=causal)

    def sees(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        return (key_at <= query_at) & (key_at > query_at - self.window)

    def kept(self, capacity: int) -> tuple[int, int]:
        return 0, min(self.window, capacity)

    def reads(self, position: int) -> list[Range]:
        return [(max(0, position - self.window + 1), position + 1, 1)]


def attend_sliding_window(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    window: int,
    *,
    scale: float | None = None,
    causal: bool = True,
) -> Tensor:
    """The last `window` positions, itself included, or both sides' |i - j| < window."""
    length = query.shape[2]
    if window >= length:
        return attend_dense(query, keys, values, scale=scale, causal=causal)
    parts = _window_parts(length, window, causal)
    return attend_parts(query, keys, values, parts, scale=scale)


def window_by_copies(
    query: Tensor, keys: Tensor, values: Tensor, window: int, *, causal: bool = True
) -> Tensor:
    """The same attention as on devices other than the CPU, for sequences longer than a window."""
    even = equal_widths(query, keys, values)
    parts = _window_parts(query.shape[2], window, causal)
    return even.cut(parts_by_copies(even.query, even.keys, even.values, parts, even.scale))


def _window_parts(length: int, window: int, causal: bool) -> list[Part]:
    """All rows of a sequence longer than the window."""
    if causal:
        head = Comb(0, 1, 0, window)
        return [*causal_stairs(head, head), *band_parts(window, length, window - 1, 0)]
    return both_sides_parts(0, length, window)


def band_parts(
    first: int,
    length: int,
    back: int,
    ahead: int,
    *,
    merges: bool = False,
    skips_self: bool = False,
) -> list[Part]:
    """Rows `first` and later, each seeing `back` keys before itself and `ahead` after it.

    Whole chunks, and near the end shorter ones. Spans of whole chunks are prolonged to an even
    length, with hidden keys. With `ahead` -1 the rows see earlier keys only.
    """
    assert first >= back, "rows that lack earlier keys are another part's"
    chunk = CHUNK if back + ahead >= SHORT_SPAN else SHORT_CHUNK
    span = even_length(chunk + back + ahead)
    count = max(0, min(length - first, length - first + back + chunk - span)) // chunk
    done = first + count * chunk
    pieces = [(first, count, chunk)] if count else []
    pieces += [(row, 1, min(CHUNK, length - row)) for row in range(done, length, CHUNK)]
    hidden = hide_outside(back, back, ahead, skips_self=skips_self)
    parts = []
    for row, chunks, size in pieces:
        rows = Comb(row, chunks, chunk, size)
        stop = min(length, row - back + even_length(size + back + ahead))
        keys = Comb(row - back, chunks, chunk, stop - (row - back))
        parts.append(Part(rows, keys, hidden, merges=merges))
    return parts


def both_sides_parts(
    first: int, length: int, window: int, *, merges: bool = False, skips_self: bool = False
) -> list[Part]:
    """Rows `first` and later, each seeing |i - j| < window and all keys before `first`."""
    reach = window - 1
    whole = first + reach  # the first row whose window holds no key before `first`
    step = CHUNK
    if length - reach - whole < length // 4:  # few rows have a whole window: little is hidden
        whole, step = length, LONG_CHUNK
    parts = []
    for row in range(first, whole, step):
        size = min(step, whole - row)
        floor = 0 if first else max(0, row - reach) // EVEN_KEYS * EVEN_KEYS
        stop = min(length, floor + even_length(row + size + reach - floor))
        hidden = hide_outside(row - floor, reach, reach, shown=first, skips_self=skips_self)
        keys = Comb(floor, 1, 0, stop - floor)
        parts.append(Part(Comb(row, 1, 0, size), keys, hidden, merges=merges))
    if whole < length:
        parts += band_parts(whole, length, reach, reach, merges=merges, skips_self=skips_self)
        parts += shared_keys_parts(whole, length, first)
    return parts


def hide_outside(
    offset: int, back: int, ahead: int, *, shown: int = 0, skips_self: bool = False
) -> Hidden:
    """Hide keys that are out of a row's reach; row 0 lies `offset` after the chunk's first key.

    The chunk's first `shown` keys are seen from everywhere.
    """

    def hidden(row: Tensor, key: Tensor) -> Tensor:
        at = row + offset
        later, earlier = key > at + ahead, key < at - back
        outside = later | (earlier & (key >= shown) if shown else earlier)
        return outside | (key == at) if skips_self else outside

    return hidden

"""Parts: what sparse patterns are cut into, so that every piece of work is one small dense product.

A part is a number of chunks, each with some query rows and some keys. Rows and keys of a chunk are
evenly spaced, so a fused kernel can read them in place, however much chunks overlap: a window's
spans, blocks, every s-th token, the first few. All chunks of a part share one small mask.

Shapes: B batch, H heads, T tokens, M chunks, C rows of a chunk, S keys of a chunk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from evaluator.kernels.passes import passes

# What a chunk computes is written apart and put into place afterwards; done in groups that stay in
# a core's cache, since filling fresh memory for all at once cost a tenth of the time. The backward
# pass has several times as much to write (measured by benchmarks/kernels.py).
FORWARD_BYTES, BACKWARD_BYTES = 8 << 20, 2 << 20

# Rows of one stair of a causal chunk: short ones leave out more, long ones multiply better
# (measured by benchmarks/kernels.py).
STAIR = 64

# Products over a number of keys that 16 does not divide take a third longer.
EVEN_KEYS = 16

# Rows of a chunk that share their keys with all other rows.
SHARING_ROWS = 256

# Whether row r of a chunk must not see its key s, elementwise for (C, 1) and (1, S): (C, S). It is
# fast if it compares what is known per row with what is known per key, and does no sums of (C, S).
Hidden = Callable[[Tensor, Tensor], Tensor]

Head = tuple[int, int]  # its sequence and its number there


@dataclass(frozen=True, slots=True)
class Comb:
    """Evenly spaced positions: item r of chunk m is `first + m * chunk_step + r * step`."""

    first: int
    chunks: int
    chunk_step: int
    size: int  # items of a chunk
    step: int = 1

    def view(self, tensor: Tensor) -> Tensor:
        """These positions of a (B, H, T, ...) without a copy: (M, B * H, size, ...).

        Batch and heads must be evenly spaced together: see `heads_in_a_row`.
        """
        batch, heads, _, *rest = tensor.shape
        of_batch, of_head, of_token, *inside = tensor.stride()
        return tensor.as_strided(
            (self.chunks, batch * heads, self.size, *rest),
            (
                self.chunk_step * of_token,
                of_batch if heads == 1 else of_head,
                self.step * of_token,
                *inside,
            ),
            tensor.storage_offset() + self.first * of_token,
        )

    def view_head(self, tensor: Tensor, at: Head) -> Tensor:
        """One head's positions of a (B, H, T, ...) without a copy: (M, size, ...)."""
        of_batch, of_head, of_token, *inside = tensor.stride()
        return tensor.as_strided(
            (self.chunks, self.size, *tensor.shape[3:]),
            (self.chunk_step * of_token, self.step * of_token, *inside),
            tensor.storage_offset() + at[0] * of_batch + at[1] * of_head + self.first * of_token,
        )

    def add_to(self, total: Tensor, part: Tensor) -> None:
        """Add (M, B * H, size, D) into a (B, H, T, D), where chunks may overlap.

        Overlapping chunks are added one shift of `chunk_step` items at a time: items of one shift
        belong to different chunks and never coincide, so each shift is one plain addition.
        """
        if self.chunks > 1 and self.chunk_step == 0:  # all chunks are the same items
            return replace(self, chunks=1).add_to(total, part.sum(0, keepdim=True))
        reach = self.chunk_step * self.chunks
        apart = self.chunk_step >= (self.size - 1) * self.step + 1 or reach <= self.step
        if self.chunks == 1 or apart:
            self.view(total).add_(part)
            return None
        assert self.step == 1, "overlapping chunks of spaced items are no pattern's"
        for start in range(0, self.size, self.chunk_step):
            size = min(self.chunk_step, self.size - start)
            shift = replace(self, first=self.first + start, size=size)
            shift.view(total).add_(part[:, :, start : start + size])
        return None

    def positions(self, device: torch.device) -> Tensor:
        """The positions themselves: (M, size)."""
        chunk = torch.arange(self.chunks, device=device)[:, None]
        item = torch.arange(self.size, device=device)[None, :]
        return self.first + chunk * self.chunk_step + item * self.step

    def some(self, skipped: int, chunks: int) -> Comb:
        """`chunks` of the chunks, after the first `skipped`."""
        return replace(self, first=self.first + skipped * self.chunk_step, chunks=chunks)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that attend to keys, chunk by chunk.

    A part that `merges` adds keys to rows that an earlier part has written; the others write rows
    that no part has written yet.
    """

    rows: Comb
    keys: Comb
    hidden: Hidden | None = None
    is_causal: bool = False  # row r sees keys 0 ... r; in place of `hidden`
    merges: bool = False

    def mask(self, like: Tensor) -> Tensor | None:
        """The additive mask that all chunks share: (C, S)."""
        if self.hidden is None:
            return None
        row = torch.arange(self.rows.size, device=like.device, dtype=torch.int32)[:, None]
        key = torch.arange(self.keys.size, device=like.device, dtype=torch.int32)[None, :]
        minus_infinity = torch.full((), -math.inf, dtype=like.dtype, device=like.device)
        zero = torch.zeros_like(minus_infinity)
        return torch.where(self.hidden(row, key), minus_infinity, zero)

    def groups(self, positions: int) -> Iterator[Part]:
        """The same chunks, as many at a time as have `positions` rows and keys in all."""
        most = max(1, positions // (self.rows.size + self.keys.size))
        for done in passes(range(0, self.rows.chunks, most)):
            chunks = min(most, self.rows.chunks - done)
            yield replace(
                self, rows=self.rows.some(done, chunks), keys=self.keys.some(done, chunks)
            )

    def rows_of(self, tensor: Tensor) -> Tensor:
        """A view of the queries, outputs or log-sum-exps: (M, B * H, C, ...)."""
        return self.rows.view(tensor)

    def keys_of(self, tensor: Tensor) -> Tensor:
        """A view of the keys or values: (M, B * G, S, D)."""
        return self.keys.view(tensor)

    def store_rows(self, total: Tensor, part: Tensor) -> None:
        """Write rows that no other part has written."""
        self.rows.view(total).copy_(part)

    def add_keys(self, total: Tensor, part: Tensor) -> None:
        """Add gradients of the keys or values where these were read."""
        self.keys.add_to(total, part)

    def row_positions(self, device: torch.device) -> Tensor:
        """Positions of the rows: (M, C)."""
        return self.rows.positions(device)

    def key_positions(self, device: torch.device) -> Tensor:
        """Positions of the keys: (M, S)."""
        return self.keys.positions(device)


def heads_in_a_row(tensor: Tensor) -> Tensor:
    """A (B, H, T, D) whose heads of all sequences are evenly spaced; a copy where they are not.

    One sequence's are, also as a projection leaves them.
    """
    of_batch, of_head, of_token, inside = tensor.stride()
    batch, heads, _, width = tensor.shape
    even = batch == 1 or heads == 1 or of_batch == heads * of_head
    return tensor if even and inside == 1 and of_token >= width else tensor.contiguous()


def even_length(keys: int) -> int:
    """A number of keys that is no less and multiplies well."""
    return -(-keys // EVEN_KEYS) * EVEN_KEYS


def causal_stairs(rows: Comb, keys: Comb, merges: bool = False) -> list[Part]:
    """Chunks whose row r sees the keys 0 ... r, cut so that few later keys are computed.

    The fused kernel's own causal flag leaves out keys in steps of 512 only.
    """
    stairs = []
    for start in range(0, rows.size, STAIR):
        size = min(STAIR, rows.size - start)
        stair = replace(rows, first=rows.first + start * rows.step, size=size)
        seen = replace(keys, size=start + size)
        later = None if start == 0 else lambda row, key, start=start: key > row + start
        stairs.append(Part(stair, seen, later, is_causal=start == 0, merges=merges))
    return stairs


def shared_keys_parts(first: int, length: int, keys: int) -> list[Part]:
    """Rows `first` and later that all see the first `keys` keys beside what they saw before."""
    if not keys:
        return []
    count, rest = divmod(length - first, SHARING_ROWS)
    pieces = [(first, count, SHARING_ROWS), (length - rest, 1, rest)]
    return [
        Part(Comb(row, chunks, size, size), Comb(0, chunks, 0, keys), merges=True)
        for row, chunks, size in pieces
        if chunks * size
    ]


def columns_of(length: int, step: int) -> list[Comb]:
    """All positions in `step` chunks, each of every `step`-th one: those one longer come first."""
    size, longer = divmod(length, step)
    columns = [
        Comb(0, longer, 1, size + 1, step),
        Comb(longer, step - longer, 1, size, step),
    ]
    return [column for column in columns if column.chunks * column.size]

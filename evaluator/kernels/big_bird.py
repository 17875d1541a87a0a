"""BigBird attention: the blocks that a block of rows sees are gathered side by side.

Blocks of rows that see equally many blocks make one part. A last block that is not full is padded;
its padding is cut off the keys, or lies after every causal row.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension, N blocks, M blocks of rows
in a part, n blocks that each of them sees, b positions of a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.kernels.cache import Range
from evaluator.kernels.global_rows import KEYS_AT_ONCE, global_rows_parts
from evaluator.kernels.merge import AnyPart, attend_parts
from evaluator.kernels.parts import Comb, Part
from evaluator.kernels.passes import passes

# Share of all pairs of blocks from which one masked product is faster than gathering.
MOSTLY_SEEN = 0.35

# Part of the usual room for a group: gathered keys take it a second time.
GATHERED_SHARE = 4


class BigBirdKernel:
    """Every position sees blocks near it, the first ones, and random ones."""

    def __init__(self, pattern: Any) -> None:
        self.block: int = pattern.block
        self.choice: tuple[int, int, int, int] = (
            pattern.window,
            pattern.globals,
            pattern.random,
            pattern.seed,
        )

    def full(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, causal: bool
    ) -> Tensor:
        return attend_big_bird(
            query, keys, values, self.block, *self.choice, scale=scale, causal=causal
        )

    def sees(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        row, column = query_at // self.block, key_at // self.block
        blocks = int(row.max()) + 1
        visible = visible_blocks(torch.arange(blocks), blocks, *self.choice).to(row.device)
        return (key_at <= query_at) & visible[row, column.clamp(max=blocks - 1)]

    def kept(self, capacity: int) -> tuple[int, int]:
        return 0, capacity

    def reads(self, position: int) -> list[Range]:
        row, size = position // self.block, self.block
        ranges: list[Range] = []
        for column in blocks_seen(row, *self.choice):
            stop = min((column + 1) * size, position + 1)
            if ranges and ranges[-1][1] == column * size:
                ranges[-1] = (ranges[-1][0], stop, 1)
            else:
                ranges.append((column * size, stop, 1))
        return ranges


def attend_big_bird(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    block: int,
    window: int,
    global_blocks: int,
    random_blocks: int,
    seed: int = 0,
    *,
    scale: float | None = None,
    causal: bool = True,
) -> Tensor:
    """Blocks near, first and random: (B, H, T, Dk) to (B, H, T, Dv)."""
    length = query.shape[2]
    blocks = -(-length // block)
    table = big_bird_table(blocks, window, global_blocks, random_blocks, seed, causal)
    computed = sum(seen.numel() for _, seen in table) / blocks**2
    if computed > MOSTLY_SEEN:
        parts = _masked_parts(table, block, length, causal)
        return attend_parts(query, keys, values, parts, scale=scale)
    missing = blocks * block - length
    if missing:
        query, keys, values = (F.pad(x, (0, 0, 0, missing)) for x in (query, keys, values))
    parts = _bucket_parts(table, block, 0 if causal else missing, causal)
    return attend_parts(query, keys, values, parts, scale=scale)[:, :, :length]


@lru_cache(maxsize=64)
def big_bird_table(
    blocks: int, window: int, global_blocks: int, random_blocks: int, seed: int, causal: bool
) -> tuple[tuple[Tensor, Tensor], ...]:
    """Which blocks see which: pairs of rows (M,) and what they see, ascending, (M, n).

    Kept for all calls, so it is real and uncounted also where this one is traced or counted.
    """
    with torch._C._DisableTorchDispatch():
        rows = torch.arange(blocks)
        visible = visible_blocks(rows, blocks, window, global_blocks, random_blocks, seed)
        if not causal:
            visible |= visible.T.clone()
        counts = visible.sum(1)
        buckets = []
        for count in counts.unique().tolist():
            for sees_last in (False, True):
                rows = ((counts == count) & (visible[:, -1] == sees_last)).nonzero()[:, 0]
                if len(rows):
                    seen = visible[rows].nonzero()[:, 1].reshape(len(rows), count)
                    buckets.append((rows, seen))
        return tuple(buckets)


@lru_cache(maxsize=4096)
def blocks_seen(
    row: int, window: int, global_blocks: int, random_blocks: int, seed: int
) -> tuple[int, ...]:
    """The blocks that block `row` sees, ascending."""
    choice = (window, global_blocks, random_blocks, seed)
    visible = visible_blocks(torch.tensor([row]), row + 1, *choice)
    return tuple(visible[0].nonzero()[:, 0].tolist())


def visible_blocks(
    rows: Tensor, blocks: int, window: int, global_blocks: int, random_blocks: int, seed: int
) -> Tensor:
    """Whether the blocks `rows` (M,) see each of the first N, of those up to themselves: (M, N)."""
    row, column = rows[:, None], torch.arange(blocks)[None, :]
    unseen = (column <= row - window) & (column >= global_blocks)
    visible = (column <= row) & ~unseen
    hashes = block_hashes(seed, row, column).masked_fill(~unseen, torch.iinfo(torch.int64).max)
    smallest = hashes.sort(dim=1, stable=True).indices[:, :random_blocks]
    return visible | torch.zeros_like(visible).scatter_(1, smallest, True) & unseen


def block_hashes(seed: int, row: Tensor, column: Tensor) -> Tensor:
    """SplitMix64's finaliser (doi:10.1145/2660193.2660195) over the three numbers.

    Signed numbers in the order of the unsigned ones: their first bit is flipped at the end.
    """
    value = torch.zeros_like(row + column)
    for part in (seed, row, column):
        value = value + part + _signed(0x9E3779B97F4A7C15)
        value = (value ^ _shifted(value, 30)) * _signed(0xBF58476D1CE4E5B9)
        value = (value ^ _shifted(value, 27)) * _signed(0x94D049BB133111EB)
        value = value ^ _shifted(value, 31)
    return value ^ _signed(2**63)


def _signed(bits: int) -> int:
    """64 bits as torch's integers hold them."""
    return bits - 2**64 if bits >= 2**63 else bits


def _shifted(value: Tensor, by: int) -> Tensor:
    """A right shift that fills with zeros; torch's own repeats the sign."""
    return (value >> by) & (2 ** (64 - by) - 1)


def _masked_parts(
    table: tuple[tuple[Tensor, Tensor], ...], block: int, length: int, causal: bool
) -> list[Part]:
    """All rows over all keys, where most are seen."""
    blocks = sum(len(rows) for rows, _ in table)
    visible = torch.zeros(blocks, blocks, dtype=torch.bool)
    for rows, seen in table:
        visible[rows[:, None], seen] = True

    def hidden(row: Tensor, key: Tensor) -> Tensor:
        unseen = ~visible.to(row.device)
        unseen = unseen.repeat_interleave(block, 0).repeat_interleave(block, 1)[:length, :length]
        return unseen | (key > row) if causal else unseen

    return [Part(Comb(0, 1, 0, length), Comb(0, 1, 0, length), hidden)]


def _bucket_parts(
    table: tuple[tuple[Tensor, Tensor], ...], block: int, missing: int, causal: bool
) -> list[AnyPart]:
    """The table's buckets as parts; those that see the last block don't see its padding."""
    blocks = sum(len(rows) for rows, _ in table)
    parts: list[AnyPart] = []
    for rows, seen in table:
        if not causal and seen.shape[1] == blocks:  # everything, so there is nothing to gather
            for row in rows.tolist():
                parts += global_rows_parts(row * block, block, blocks * block - missing)
            continue
        pieces = 1 if causal else -(-seen.shape[1] * block // KEYS_AT_ONCE)
        for number, some in enumerate(seen.chunk(pieces, dim=1)):
            hidden = missing if int(some[0, -1]) == blocks - 1 else 0
            span = some.shape[1] * block - hidden
            parts.append(_GatheredPart(rows, some, block, span, causal, merges=number > 0))
    return parts


@dataclass(frozen=True, slots=True, eq=False)
class _GatheredPart:
    """Blocks of rows and, for each, the blocks that it sees; merging asks for these methods.

    Rows that see much take their keys in several parts, so that few are copied at a time.
    """

    rows: Tensor  # (M,)
    seen: Tensor  # (M, n)
    block: int
    span: int  # keys that count among the n * b
    own_is_last: bool  # the last block is the rows' own and causal
    is_causal: bool = False
    merges: bool = False

    def mask(self, like: Tensor) -> Tensor | None:
        """The additive mask that all chunks share: (b, span)."""
        if not self.own_is_last:
            return None
        mask = torch.full((self.block, self.span), -math.inf, dtype=like.dtype, device=like.device)
        return mask.triu_(1 + self.span - self.block)

    def groups(self, positions: int) -> Iterator[_GatheredPart]:
        """The same blocks, as many at a time as have `positions` rows and keys in all."""
        most = max(1, positions // (GATHERED_SHARE * (self.block + self.span)))
        most = 1 if self.merges else most  # only a view of rows can be merged into
        pieces = zip(self.rows.split(most), self.seen.split(most), strict=True)
        for rows, seen in passes(list(pieces)):
            yield replace(self, rows=rows, seen=seen)

    def rows_of(self, tensor: Tensor) -> Tensor:
        """The rows, a copy if there is more than one block of them: (M, B * H, b, ...)."""
        blocks = self._blocks(tensor)
        if len(self.rows) == 1:
            return blocks.narrow(1, int(self.rows), 1).transpose(0, 1)
        return blocks.index_select(1, self.rows.to(tensor.device)).transpose(0, 1)

    def keys_of(self, tensor: Tensor) -> Tensor:
        """A copy of the keys or values: (M, B * G, span, D)."""
        chosen = self._blocks(tensor).index_select(1, self.seen.flatten().to(tensor.device))
        chosen = chosen.unflatten(1, self.seen.shape).flatten(2, 3)  # (B * G, M, n * b, D)
        return chosen.transpose(0, 1)[:, :, : self.span]

    def store_rows(self, total: Tensor, part: Tensor) -> None:
        """Write rows (M, B * H, b, ...) into a contiguous (B, H, T, ...)."""
        self._blocks(total).index_copy_(1, self.rows, part.transpose(0, 1))

    def add_keys(self, total: Tensor, part: Tensor) -> None:
        """Add (M, B * G, span, D) into a contiguous (B, G, T, D)."""
        blocks = self._blocks(total)
        for slot, block in enumerate(self.seen.unbind(1)):
            of_slot = part[:, :, slot * self.block : (slot + 1) * self.block].transpose(0, 1)
            blocks[:, :, : of_slot.shape[2]].index_add_(1, block, of_slot)

    def row_positions(self, device: torch.device) -> Tensor:
        """Positions of the rows: (M, b)."""
        return (self.rows[:, None] * self.block + torch.arange(self.block)).to(device)

    def key_positions(self, device: torch.device) -> Tensor:
        """Positions of the keys: (M, span)."""
        inside = self.seen[:, :, None] * self.block + torch.arange(self.block)  # (M, n, b)
        return inside.flatten(1)[:, : self.span].to(device)

    def _blocks(self, tensor: Tensor) -> Tensor:
        """A contiguous (B, H, T, ...) as (B * H, N, b, ...)."""
        return tensor.flatten(0, 1).unflatten(1, (-1, self.block))

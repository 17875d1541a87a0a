"""Hierarchical attention: tokens back to a block's edge, merged with the means of blocks before.

Means are appended to the tokens as further keys. The tokens' part moves by whole blocks of rows,
which all reach back to the same edge or to the next ones; all rows that start at an edge see the
same means.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension, N means.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from evaluator.kernels.cache import TokenCache
from evaluator.kernels.decode import attend_cached
from evaluator.kernels.dense import attend_dense
from evaluator.kernels.merge import attend_parts
from evaluator.kernels.mixer import HeadShape
from evaluator.kernels.parts import EVEN_KEYS, Comb, Hidden, Part, causal_stairs, even_length

# Rows of a chunk, as near as whole blocks come to it.
NEAR_ROWS, FAR_ROWS = 64, 128


class SummaryCache:
    """A ring of the last tokens, and the means of the blocks before them."""

    def __init__(self, tokens: TokenCache, summaries: list[Tensor]) -> None:
        self.tokens, self.summaries = tokens, summaries  # each summary (B, G, N, D)
        self.summed_up = 0  # blocks
        self.summed_up = 0  # blocks

    @property
    def length(self) -> int:
        return self.tokens.length

    @property
    def tensors(self) -> list[Tensor]:
        return [*self.tokens.kept, *self.summaries]

    def rewind(self, length: int) -> None:
        self.tokens.rewind(length)


class HierarchicalMixer(nn.Module):
    """Heads that attend to a window of tokens and to the means of all blocks before it."""

    def __init__(self, pattern: Any, shape: HeadShape, layer: Any) -> None:
        super().__init__()
        self.window: int = pattern.window
        self.block: int = pattern.block
        self.scale = 1.0 if layer.score.name == "dot" else None

    def new_cache(
        self, batch: int, widths: tuple[int, ...], capacity: int, like: Tensor, heads: int
    ) -> SummaryCache:
        kept = (0, min(capacity, self.window + self.block - 1))
        tokens = TokenCache((batch, heads), widths, kept, capacity, like)
        count = max(0, capacity - self.window) // self.block
        return SummaryCache(tokens, [like.new_zeros(batch, heads, count, w) for w in widths])

    def take_in(
        self, keys: Tensor, values: Tensor, cache: SummaryCache | None, x: Tensor
    ) -> tuple[Tensor, Tensor, SummaryCache | None]:
        return keys, values, cache

    def forward(self, query: Tensor, seen: tuple[Tensor, Tensor, SummaryCache | None]) -> Tensor:
        """(B, H, T, D) over keys and values (B, G, T, D), and over what the cache holds."""
        keys, values, cache = seen
        if cache is None or cache.length == 0:
            if cache is not None:
                self._fill(cache, keys, values)
            return attend_hierarchical(
                query, keys, values, self.window, self.block, scale=self.scale
            )
        steps = [
            self._one(query[:, :, i : i + 1], keys[:, :, i : i + 1], values[:, :, i : i + 1], cache)
            for i in range(query.shape[2])
        ]
        return torch.cat(steps, dim=2)

    def _fill(self, cache: SummaryCache, keys: Tensor, values: Tensor) -> None:
        """A first sequence: its last tokens, and the means of all blocks behind them."""
        count = max(0, keys.shape[2] - self.window) // self.block
        for summaries, tensor in zip(cache.summaries, (keys, values), strict=True):
            blocks = tensor[:, :, : count * self.block].unflatten(2, (count, self.block))
            summaries[:, :, :count] = blocks.mean(3)
        cache.summed_up = count
        cache.tokens.append(keys, values)

    def _one(self, query: Tensor, key: Tensor, value: Tensor, cache: SummaryCache) -> Tensor:
        """One new token; a block that its window leaves behind is summed up first.

        Only once: when the token is taken back and given again, it lies where the block began.
        """
        position = cache.length
        start = self.block * (max(0, position - self.window + 1) // self.block)
        count = start // self.block
        before = self.block * (max(0, position - self.window) // self.block)
        if start > before and cache.summed_up < count:
            for summaries, block in zip(
                cache.summaries, cache.tokens.read([(before, start, 1)]), strict=True
            ):
                summaries[:, :, count - 1] = block.mean(2)
            cache.summed_up = count
        cache.tokens.append(key, value)
        near = cache.tokens.read([(start, position + 1, 1)])
        keys, values = (
            torch.cat((far[:, :, :count], tokens), dim=2)
            for far, tokens in zip(cache.summaries, near, strict=True)
        )
        return attend_cached(query, keys, values, self.scale)


def attend_hierarchical(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    window: int,
    block: int,
    *,
    scale: float | None = None,
    causal: bool = True,
) -> Tensor:
    """At least `window` tokens and the means of all blocks before: (B, H, T, Dk) to (B, H, T, Dv).

    Row i attends to the tokens from s(i) = block * max(0, (i - window + 1) // block) on.
    """
    assert causal, "summaries are of the past"
    length = query.shape[2]
    if block == 1 or window + block > length:
        return attend_dense(query, keys, values, scale=scale)
    first = window - 1 + block  # the first row that sees a mean
    head = Comb(0, 1, 0, first)
    parts = [
        *causal_stairs(head, head),
        *_near_parts(first, length, window, block),
        *_far_parts(first, length, block),
    ]
    keys, values = (with_block_means(x, window, block) for x in (keys, values))
    return attend_parts(query, keys, values, parts, scale=scale)


def with_block_means(tensor: Tensor, window: int, block: int) -> Tensor:
    """Keys or values, the mean of each block that some row sees, and zeros: (B, G, T + N, D)."""
    count = max(0, tensor.shape[2] - window) // block
    means = tensor[:, :, : count * block].unflatten(2, (count, block)).mean(3)
    zeros = tensor.new_zeros(1).expand(
        *tensor.shape[:2], even_length(count) - count, tensor.shape[3]
    )
    return torch.cat((tensor, means, zeros), dim=2)


def _near_parts(first: int, length: int, window: int, block: int) -> list[Part]:
    """The tokens: chunks of whole blocks of rows, long ones cut into stairs."""
    size = block * -(-NEAR_ROWS // block)
    count = max(0, length - first - EVEN_KEYS) // size
    done = first + count * size
    stair = NEAR_ROWS if block >= NEAR_ROWS else size
    parts = []
    for row, chunks, rows in ((first, count, size), (done, 1, length - done)):
        for start in range(0, rows if chunks else 0, stair):
            some = min(stair, rows - start)
            before = row - window + 1  # an edge
            span = min(even_length(start + some + window - 1), length - before)
            keys = Comb(before, chunks, size, span)
            hidden = _hide_beyond_edges(start, window, block)
            parts.append(Part(Comb(row + start, chunks, size, some), keys, hidden))
    return parts


def _hide_beyond_edges(start: int, window: int, block: int) -> Hidden:
    """Hide what lies before the edge that a row reaches back to, and what lies after the row."""

    def hidden(row: Tensor, key: Tensor) -> Tensor:
        behind_edge = block * ((row + start) // block)
        return (key < behind_edge) | (key > row + start + window - 1)

    return hidden


def _far_parts(first: int, length: int, block: int) -> list[Part]:
    """The means, one for each block of rows so far: few chunks share a number of them."""
    size = block * -(-FAR_ROWS // block)
    parts = []
    for row in range(first, length, size):
        rows = min(size, length - row)
        fewest = (row - first) // block + 1  # means that the chunk's first row sees
        keys = Comb(length, 1, 0, even_length(fewest + (rows - 1) // block))
        hidden = _hide_later_means(fewest, block)
        parts.append(Part(Comb(row, 1, 0, rows), keys, hidden, merges=True))
    return parts


def _hide_later_means(fewest: int, block: int) -> Hidden:
    """Hide means of blocks that are tokens to a row."""
    return lambda row, key: key >= fewest + row // block

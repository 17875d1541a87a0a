"""Strided attention: a window, and the column of every s-th token, which is a short sequence.

The token itself lies in both; the column counts it, so that no part has a row without keys.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension, s stride.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from evaluator.kernels.cache import Range
from evaluator.kernels.dense import attend_dense
from evaluator.kernels.merge import attend_parts
from evaluator.kernels.parts import Comb, Part, causal_stairs, columns_of
from evaluator.kernels.sliding_window import band_parts, both_sides_parts


class StridedKernel:
    """Every position sees the last `stride` and every `stride`-th before them."""

    def __init__(self, pattern: Any) -> None:
        self.stride: int = pattern.stride

    def full(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, causal: bool
    ) -> Tensor:
        return attend_strided(query, keys, values, self.stride, scale=scale, causal=causal)

    def sees(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        back = query_at - key_at
        return (back >= 0) & ((back < self.stride) | (back % self.stride == 0))

    def kept(self, capacity: int) -> tuple[int, int]:
        return 0, capacity if 2 * self.stride < capacity else min(capacity, self.stride + 1)

    def reads(self, position: int) -> list[Range]:
        local = (max(0, position - self.stride + 1), position + 1, 1)
        if position < self.stride:
            return [local]
        return [(position % self.stride, position - self.stride + 1, self.stride), local]


def attend_strided(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    stride: int,
    *,
    scale: float | None = None,
    causal: bool = True,
) -> Tensor:
    """The last `stride` positions and every `stride`-th: (B, H, T, Dk) to (B, H, T, Dv)."""
    length = query.shape[2]
    if stride == 1 or stride >= length:
        return attend_dense(query, keys, values, scale=scale, causal=causal)
    parts = []
    for column in columns_of(length, stride):
        parts += causal_stairs(column, column) if causal else [Part(column, column)]
    if causal:
        rows, earlier = Comb(1, 1, 0, stride - 1), Comb(0, 1, 0, stride - 1)
        parts += causal_stairs(rows, earlier, merges=True)
        parts += band_parts(stride, length, stride - 1, -1, merges=True)
    else:
        parts += both_sides_parts(0, length, stride, merges=True, skips_self=True)
    return attend_parts(query, keys, values, parts, scale=scale)

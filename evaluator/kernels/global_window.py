"""Global-window attention: a window on both sides, and a few rows and columns of the whole matrix.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from evaluator.kernels.cache import Range
from evaluator.kernels.dense import attend_dense
from evaluator.kernels.global_rows import global_rows_parts
from evaluator.kernels.merge import attend_parts
from evaluator.kernels.sink_window import attend_sink_window
from evaluator.kernels.sliding_window import both_sides_parts


class GlobalWindowKernel:
    """A window, and `globals` first positions that see all and are seen by all."""

    def __init__(self, pattern: Any) -> None:
        self.window: int = pattern.window
        self.globals: int = pattern.globals

    def full(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, causal: bool
    ) -> Tensor:
        return attend_global_window(
            query, keys, values, self.window, self.globals, scale=scale, causal=causal
        )

    def sees(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        return (key_at <= query_at) & ((key_at < self.globals) | (key_at > query_at - self.window))

    def kept(self, capacity: int) -> tuple[int, int]:
        return min(self.globals, capacity), min(self.window, capacity)

    def reads(self, position: int) -> list[Range]:
        start = position - self.window + 1
        if start <= self.globals:
            return [(0, position + 1, 1)]
        return [(0, self.globals, 1), (start, position + 1, 1)]


def attend_global_window(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    window: int,
    global_tokens: int,
    *,
    scale: float | None = None,
    causal: bool = True,
) -> Tensor:
    """A window, to and from the first `global_tokens`: (B, H, T, Dk) to (B, H, T, Dv)."""
    length = query.shape[2]
    if causal:
        return attend_sink_window(query, keys, values, window, global_tokens, scale=scale)
    if global_tokens + window >= length:
        return attend_dense(query, keys, values, scale=scale, causal=False)
    parts = [
        *global_rows_parts(0, global_tokens, length),
        *both_sides_parts(global_tokens, length, window),
    ]
    return attend_parts(query, keys, values, parts, scale=scale)

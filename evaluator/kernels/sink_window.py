"""Sink-window attention: a window, merged with the first few positions.

The rows whose window reaches a sink see all that is before them, so they are one dense piece; for
all others the two sets of keys are apart and no key counts twice.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from evaluator.kernels.cache import Range
from evaluator.kernels.dense import attend_dense
from evaluator.kernels.merge import attend_parts
from evaluator.kernels.parts import Comb, causal_stairs, shared_keys_parts
from evaluator.kernels.sliding_window import band_parts


class SinkWindowKernel:
    """Every position sees the first `sinks` and a window."""

    def __init__(self, pattern: Any) -> None:
        self.window: int = pattern.window
        self.sinks: int = pattern.sinks

    def full(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, causal: bool
    ) -> Tensor:
        return attend_sink_window(
            query, keys, values, self.window, self.sinks, scale=scale, causal=causal
        )

    def sees(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        return (key_at <= query_at) & ((key_at < self.sinks) | (key_at > query_at - self.window))

    def kept(self, capacity: int) -> tuple[int, int]:
        return min(self.sinks, capacity), min(self.window, capacity)

    def reads(self, position: int) -> list[Range]:
        start = position - self.window + 1
        if start <= self.sinks:
            return [(0, position + 1, 1)]
        return [(0, self.sinks, 1), (start, position + 1, 1)]


def attend_sink_window(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    window: int,
    sinks: int,
    *,
    scale: float | None = None,
    causal: bool = True,
) -> Tensor:
    """The first `sinks` positions and the last `window`: (B, H, T, Dk) to (B, H, T, Dv)."""
    assert causal, "sinks are of causal attention"
    length = query.shape[2]
    if sinks + window >= length:
        return attend_dense(query, keys, values, scale=scale)
    head = Comb(0, 1, 0, sinks + window)
    parts = [
        *causal_stairs(head, head),
        *band_parts(sinks + window, length, window - 1, 0),
        *shared_keys_parts(sinks + window, length, sinks),
    ]
    return attend_parts(query, keys, values, parts, scale=scale)

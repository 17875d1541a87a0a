"""Block-local attention: blocks are a batch of short sequences.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from evaluator.kernels.cache import Range
from evaluator.kernels.dense import attend_dense
from evaluator.kernels.merge import attend_parts
from evaluator.kernels.parts import Comb, Part, causal_stairs


class BlockLocalKernel:
    """Every position sees the earlier ones of its block."""

    def __init__(self, pattern: Any) -> None:
        self.block: int = pattern.block

    def full(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, causal: bool
    ) -> Tensor:
        return attend_block_local(query, keys, values, self.block, scale=scale, causal=causal)

    def sees(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        return (key_at <= query_at) & (query_at // self.block == key_at // self.block)

    def kept(self, capacity: int) -> tuple[int, int]:
        return 0, min(self.block, capacity)

    def reads(self, position: int) -> list[Range]:
        return [(position // self.block * self.block, position + 1, 1)]


def attend_block_local(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    block: int,
    *,
    scale: float | None = None,
    causal: bool = True,
) -> Tensor:
    """Each position over its own block of `block` positions: (B, H, T, Dk) to (B, H, T, Dv)."""
    length = query.shape[2]
    if block >= length:
        return attend_dense(query, keys, values, scale=scale, causal=causal)
    blocks, rest = divmod(length, block)
    parts = []
    for comb in (Comb(0, blocks, block, block), Comb(length - rest, 1, 0, rest)):
        if comb.size:
            parts += causal_stairs(comb, comb) if causal else [Part(comb, comb)]
    return attend_parts(query, keys, values, parts, scale=scale)

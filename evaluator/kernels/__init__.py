"""One kernel per pattern, by the pattern's name: full sequence (both ways), cache, decode."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from evaluator.kernels.cache import KVCache
from evaluator.kernels.dense import DenseKernel
from evaluator.kernels.sliding_window import SlidingWindowKernel


class Kernel(Protocol):
    """What the model asks of a pattern's kernel."""

    def full(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor: ...

    def new_cache(
        self, batch: int, kv_heads: int, dim: int, capacity: int, like: Tensor
    ) -> KVCache: ...

    def one(self, query: Tensor, cache: KVCache) -> Tensor: ...

    def more(self, query: Tensor, keys: Tensor, values: Tensor, cache: KVCache) -> Tensor: ...


KERNELS: dict[str, Any] = {
    "dense": DenseKernel,  # SDPA: fused and causal on every device
    "sliding-window": SlidingWindowKernel,  # chunks over spans: CPU fused views, else copies
}

__all__ = ["KERNELS", "KVCache", "Kernel"]

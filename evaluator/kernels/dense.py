"""Dense causal attention: PyTorch's fused kernel is the best there is on CPU and on CUDA.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from evaluator.kernels.cache import KVCache
from evaluator.kernels.decode import decode_one, extend


class DenseKernel:
    """Every position sees itself and all earlier ones."""

    def __init__(self, pattern: Any) -> None:
        pass

    def full(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """A whole sequence: (B, H, T, D) over two of (B, G, T, D)."""
        return F.scaled_dot_product_attention(query, keys, values, is_causal=True, enable_gqa=True)

    def new_cache(
        self, batch: int, kv_heads: int, dim: int, capacity: int, like: Tensor
    ) -> KVCache:
        """A cache that holds `capacity` tokens."""
        return KVCache(batch, kv_heads, capacity, dim, wraps=False, like=like)

    def one(self, query: Tensor, cache: KVCache) -> Tensor:
        """The newest token over the cache that holds it: (B, H, 1, D) to the same."""
        return decode_one(query, cache)

    def more(self, query: Tensor, keys: Tensor, values: Tensor, cache: KVCache) -> Tensor:
        """Several new tokens after cached ones: (B, H, T, D) to the same."""
        return extend(query, keys, values, cache, reach=cache.length + query.shape[2])

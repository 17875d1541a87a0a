"""Dense attention: PyTorch's fused kernel is the best there is on CPU and on CUDA.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from evaluator.kernels.cache import Range
from evaluator.kernels.widths import equal_widths


class DenseKernel:
    """Every position sees itself and all earlier ones, or all."""

    def __init__(self, pattern: Any) -> None:
        pass

    def full(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, causal: bool
    ) -> Tensor:
        return attend_dense(query, keys, values, scale=scale, causal=causal)

    def sees(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        return key_at <= query_at

    def kept(self, capacity: int) -> tuple[int, int]:
        return 0, capacity

    def reads(self, position: int) -> list[Range]:
        return [(0, position + 1, 1)]


def attend_dense(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    scale: float | None = None,
    causal: bool = True,
) -> Tensor:
    """Itself and all earlier positions, or all; not causal, keys may be another sequence's."""
    even = equal_widths(query, keys, values, scale)
    out = F.scaled_dot_product_attention(
        even.query, even.keys, even.values, is_causal=causal, scale=even.scale, enable_gqa=True
    )
    return even.cut(out)

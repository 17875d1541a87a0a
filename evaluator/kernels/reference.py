"""The slow, obvious attention that every kernel is tested against: float64, one explicit mask.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from search_space import Pattern


def reference_attention(query: Tensor, keys: Tensor, values: Tensor, pattern: Pattern) -> Tensor:
    """Softmax over the pairs of the pattern's formula: (B, H, T, D) over two of (B, G, T, D)."""
    query, keys, values = query.double(), keys.double(), values.double()
    group = query.shape[1] // keys.shape[1]
    keys, values = keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1)
    at = np.arange(query.shape[2])
    visible = torch.from_numpy(pattern.sees(at[:, None], at[None, :]))  # (T, T)
    scores = query @ keys.transpose(-1, -2) / query.shape[-1] ** 0.5  # (B, H, T, T)
    return scores.masked_fill(~visible, float("-inf")).softmax(-1) @ values

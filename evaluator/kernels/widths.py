"""Equal widths: fused attention wants keys and values of one width, and latent attention has two.

Zeros do no harm: a channel that is zero in queries and keys adds nothing to a score, and one that
is zero in the values gives an output channel of zeros, which is cut off again.

Shapes: B batch, H query heads, G KV heads, T tokens, Dk and Dv widths of keys and of values.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class EqualWidths(NamedTuple):
    """Queries, keys and values as wide as the widest of them, and what to undo afterwards."""

    query: Tensor
    keys: Tensor
    values: Tensor
    scale: float
    value_width: int

    def cut(self, out: Tensor) -> Tensor:
        """The output without the channels that padding added: (B, H, T, Dv)."""
        return out if out.shape[-1] == self.value_width else out[..., : self.value_width]


def equal_widths(
    query: Tensor, keys: Tensor, values: Tensor, scale: float | None = None
) -> EqualWidths:
    """Pad the narrower of keys (with the queries) and values; no scale means 1 / sqrt(Dk)."""
    key_width, value_width = keys.shape[-1], values.shape[-1]
    used_scale = key_width**-0.5 if scale is None else scale
    if key_width < value_width:
        query, keys = (F.pad(x, (0, value_width - key_width)) for x in (query, keys))
    elif value_width < key_width:
        values = F.pad(values, (0, key_width - value_width))
    return EqualWidths(query, keys, values, used_scale, value_width)

"""Attention of new tokens over a cache, shared by every pattern that keeps keys and values.

Shapes: B batch, H query heads, G KV heads, S cached positions, T new tokens, D head dimension.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.kernels.cache import KVCache


def decode_one(query: Tensor, cache: KVCache) -> Tensor:
    """One token over everything the cache holds, itself included: (B, H, 1, D) to the same.

    The query heads of a group become the rows of one small matrix product, so each cached key
    is read once. Copying keys out to every query head costs 6 to 12 times more.
    """
    keys, values = cache.filled()
    batch, heads, _, dim = query.shape
    rows = query.reshape(batch, keys.shape[1], heads // keys.shape[1], dim)  # (B, G, H/G, D)
    return F.scaled_dot_product_attention(rows, keys, values).reshape(batch, heads, 1, dim)


def extend(query: Tensor, keys: Tensor, values: Tensor, cache: KVCache, reach: int) -> Tensor:
    """T new tokens over a cache that already holds some: (B, H, T, D) to the same.

    `reach` is how many positions a query sees, itself included. A masked product is the right
    tool here: chunks of a continued prompt are short, and the whole cache is visible to them.
    """
    new = query.shape[2]
    old_keys, old_values = cache.in_order()
    first_key = cache.length - old_keys.shape[2]
    query_at = torch.arange(cache.length, cache.length + new, device=query.device)[:, None]
    key_at = torch.arange(first_key, cache.length + new, device=query.device)[None, :]
    visible = (key_at <= query_at) & (key_at > query_at - reach)  # (T, S + T)
    out = F.scaled_dot_product_attention(
        query,
        torch.cat((old_keys, keys), dim=2),
        torch.cat((old_values, values), dim=2),
        attn_mask=visible,
        enable_gqa=True,
    )
    cache.append(keys, values)
    return out

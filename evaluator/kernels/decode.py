"""Attention of new tokens over a cache, shared by every pattern that keeps keys and values.

Shapes: B batch, H query heads, G KV heads, R = H / G, S cached positions, T new tokens, Dk and Dv
widths of keys and values.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def attend_cached(query: Tensor, keys: Tensor, values: Tensor, scale: float | None) -> Tensor:
    """One token over all given keys: (B, H, 1, Dk) over (B, G, S, Dk and Dv) to (B, H, 1, Dv).

    The query heads of a group become the rows of one small matrix product, so each cached key
    is read once. Copying keys out to every query head costs 6 to 12 times more.
    """
    batch, heads, _, width = query.shape
    rows = query.reshape(batch, keys.shape[1], heads // keys.shape[1], width)  # (B, G, R, Dk)
    if keys.shape[-1] == values.shape[-1]:
        out = F.scaled_dot_product_attention(rows, keys, values, scale=scale)
    else:  # fused kernels want equal widths, and padding would copy the cache
        used_scale = width**-0.5 if scale is None else scale
        out = (rows @ keys.transpose(-1, -2) * used_scale).softmax(-1) @ values
    return out.reshape(batch, heads, 1, values.shape[-1])


def attend_where(
    query: Tensor, keys: Tensor, values: Tensor, visible: Tensor, scale: float | None
) -> Tensor:
    """New tokens over keys that they may see, (T, S): (B, H, T, Dk) to (B, H, T, Dv).

    `visible` is boolean, or additive.

    A masked product is the right tool here: chunks of a continued prompt are short, and most of
    the cache is visible to them.
    """
    return F.scaled_dot_product_attention(
        query, keys, values, attn_mask=visible, scale=scale, enable_gqa=True
    )


def attend_scored(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    visible: Tensor | None,
    distance: Tensor,
    slopes: Tensor | None,
    direction: Tensor | None,
    scale: float | None,
) -> Tensor:
    """The same for scores that no fused kernel takes; `distance` and `visible` are (T, S).

    `slopes` (H,) times the distance come off the scores; with a `direction` v (H, Dk) they are
    v.tanh(q + k).
    """
    groups = keys.shape[1]
    rows = query.unflatten(1, (groups, -1))  # (B, G, R, T, Dk)
    if direction is None:
        used_scale = keys.shape[-1] ** -0.5 if scale is None else scale
        scores = rows @ keys.unsqueeze(2).transpose(-1, -2) * used_scale  # (B, G, R, T, S)
    else:
        channels = torch.tanh(rows.unsqueeze(4) + keys[:, :, None, None])  # (B, G, R, T, S, Dk)
        scores = (channels @ direction.view(groups, -1, 1, direction.shape[-1], 1)).squeeze(-1)
    if slopes is not None:
        scores = scores - slopes.view(groups, -1, 1, 1) * distance.to(scores.dtype)
    if visible is not None:
        scores = scores.masked_fill(~visible, -math.inf)
    return (scores.softmax(-1) @ values.unsqueeze(2)).flatten(1, 2)

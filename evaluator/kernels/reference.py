"""The slow, obvious attention that every kernel is tested against: float64, one explicit mask.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension, S slots that are attended.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from search_space import Pattern
from search_space.patterns import GatedLinear, Hierarchical, Linear, LowRank
from search_space.patterns.interface import Kind


def reference_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    pattern: Pattern,
    kind: Kind = "causal",
    *,
    scale: float | None = None,
    slopes: Tensor | None = None,
    direction: Tensor | None = None,
    log_decay: Tensor | None = None,
    mixers: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The pattern's formula, letter by letter: (B, H, T, Dk) over (B, G, T, Dk and Dv).

    `slopes` (H,) times distance come off the scores (ALiBi); a `direction` v (H, Dk) makes them
    v.tanh(q + k). Gated-linear needs its `log_decay` (B, G, T), low-rank its `mixers` (T, r).
    """
    query, keys, values = query.double(), keys.double(), values.double()
    group = query.shape[1] // keys.shape[1]
    keys, values = keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1)
    if isinstance(pattern, GatedLinear):
        assert log_decay is not None
        decay = log_decay.double().repeat_interleave(group, 1).exp()  # (B, H, T)
        return _reference_recurrence(query, keys, values, decay) / query.shape[-1] ** 0.5
    at = np.arange(query.shape[2])
    visible = torch.from_numpy(pattern.visible(at[:, None], at[None, :], kind))  # (T, S)
    if isinstance(pattern, Linear):
        return _reference_linear(query, keys, values, visible)
    if isinstance(pattern, Hierarchical):
        count = query.shape[2] // pattern.block
        summaries = pattern.sees_summary(at[:, None], np.arange(count)[None, :])  # (T, count)
        visible = torch.cat((visible, torch.from_numpy(summaries)), 1)
        keys, values = (_with_summaries(x, pattern.block, count) for x in (keys, values))
    if isinstance(pattern, LowRank):
        assert mixers is not None
        keys, values = (
            torch.einsum("tr,bhtd->bhrd", mixer.double()[: len(at)], x)
            for mixer, x in zip(mixers, (keys, values), strict=True)
        )
        visible = torch.ones(len(at), pattern.rank, dtype=torch.bool)
    scores = _reference_scores(query, keys, scale, direction)  # (B, H, T, S)
    if slopes is not None:
        distance = torch.from_numpy(np.abs(at[:, None] - at[None, :])).double()
        scores = scores - slopes.double()[:, None, None] * distance
    return scores.masked_fill(~visible, float("-inf")).softmax(-1) @ values


def _reference_scores(
    query: Tensor, keys: Tensor, scale: float | None, direction: Tensor | None
) -> Tensor:
    """Inner products times the scale, or v.tanh(q + k): (B, H, T, S)."""
    if direction is None:
        used_scale = query.shape[-1] ** -0.5 if scale is None else scale
        return query @ keys.transpose(-1, -2) * used_scale
    channels = torch.tanh(query.unsqueeze(3) + keys.unsqueeze(2))  # (B, H, T, S, D)
    return (channels * direction.double()[:, None, None]).sum(-1)


def _with_summaries(tensor: Tensor, block: int, count: int) -> Tensor:
    """The tokens, and after them the mean of each whole block: (B, H, T + count, D)."""
    means = [tensor[:, :, block * j : block * (j + 1)].mean(2) for j in range(count)]
    return torch.cat((tensor, torch.stack(means, 2)), 2) if means else tensor


def _reference_linear(query: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> Tensor:
    """Products of elu(x) + 1 as weights, divided by their sum."""
    features = [torch.nn.functional.elu(x) + 1 for x in (query, keys)]
    weights = features[0] @ features[1].transpose(-1, -2) * visible  # (B, H, T, T)
    return weights @ values / weights.sum(-1, keepdim=True)


def _reference_recurrence(query: Tensor, keys: Tensor, values: Tensor, decay: Tensor) -> Tensor:
    """S <- a S + k v^T and S^T q, token by token."""
    state = torch.zeros(*keys.shape[:2], keys.shape[-1], values.shape[-1], dtype=keys.dtype)
    out = []
    for at in range(keys.shape[2]):
        product = keys[:, :, at, :, None] * values[:, :, at, None, :]
        state = decay[:, :, at, None, None] * state + product
        out.append((query[:, :, at, :, None] * state).sum(-2))
    return torch.stack(out, 2)

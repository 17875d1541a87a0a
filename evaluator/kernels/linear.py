"""Linear attention: pieces see each other through a running sum of key-value products.

With phi(x) = elu(x) + 1, the output at i is sum_j phi(q_i).phi(k_j) v_j / sum_j phi(q_i).phi(k_j).
Within a piece that is a small masked product; earlier pieces come in as one state.

Shapes: B batch, H query heads, G KV heads, R = H / G, T tokens, C tokens of a piece, Dk and Dv
widths of keys and values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from evaluator.kernels.mixer import HeadShape
from evaluator.kernels.scan import Tensors, scan
from evaluator.kernels.state_cache import StateCache


class LinearMixer(nn.Module):
    """Heads of linear attention; what they keep is a state, whatever the length."""

    def __init__(self, pattern: Any, shape: HeadShape, layer: Any) -> None:
        super().__init__()
        self.shape, self.causal = shape, layer.kind == "causal"

    def new_cache(
        self, batch: int, widths: tuple[int, ...], capacity: int, like: Tensor, heads: int
    ) -> StateCache:
        return StateCache(((batch, heads, widths[0], widths[-1]), (batch, heads, widths[0])), like)

    def take_in(
        self, keys: Tensor, values: Tensor, cache: StateCache | None, x: Tensor
    ) -> tuple[Tensor, Tensor, StateCache | None]:
        return keys, values, cache

    def forward(self, query: Tensor, seen: tuple[Tensor, Tensor, StateCache | None]) -> Tensor:
        """(B, H, T, D) over keys and values (B, G, T, D); the state is read, then goes on."""
        keys, values, cache = seen
        if cache is None:
            return attend_linear(query, keys, values, causal=self.causal)
        state, normaliser = cache.kept
        if query.shape[2] == 1:
            out, *after = linear_step(query, keys, values, state, normaliser)
        else:
            out, after = scan(_causal_piece, (query, keys, values), (state, normaliser))
        cache.move(keys.shape[2], *after)
        return out


def attend_linear(query: Tensor, keys: Tensor, values: Tensor, *, causal: bool = True) -> Tensor:
    """Linear attention over earlier positions, or all: (B, H, T, Dk) to (B, H, T, Dv)."""
    batch, groups, _, width = keys.shape
    state = keys.new_zeros(batch, groups, width, values.shape[-1])
    nothing = state, keys.new_zeros(batch, groups, width)
    if causal:
        return scan(_causal_piece, (query, keys, values), nothing)[0]
    _, everything = scan(_summed_piece, (keys, values), nothing)
    return scan(_read_piece, (query,), everything)[0]


def positive_features(tensor: Tensor) -> Tensor:
    """phi(x) = elu(x) + 1, without the cancellation that makes it 0 below -17 in float32."""
    return tensor.clamp(max=0).exp() + tensor.relu()


def linear_state(keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """What a sequence leaves behind: the state (B, G, Dk, Dv) and the normaliser (B, G, Dk)."""
    features = positive_features(keys)
    return features.transpose(-1, -2) @ values, features.sum(2)


def linear_step(
    query: Tensor, key: Tensor, value: Tensor, state: Tensor, normaliser: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One token, (B, H, 1, Dk) over (B, G, 1, Dk) and (B, G, 1, Dv), and the sums after it."""
    new_state, new_keys = linear_state(key, value)
    state, normaliser = state + new_state, normaliser + new_keys
    queries = positive_features(query).reshape(*normaliser.shape[:2], -1, query.shape[-1])
    out = _normalised(queries @ state, queries @ normaliser.unsqueeze(-1))  # (B, G, R, Dv)
    return out.reshape(*query.shape[:3], -1), state, normaliser


def _causal_piece(tokens: Tensors, sums: Tensors) -> tuple[Tensor, Tensors]:
    """Queries, keys and values that see themselves and what came before."""
    query, keys, values = tokens
    state, normaliser = sums
    queries = _Features.apply(query).unflatten(1, (keys.shape[1], -1))  # (B, G, R, C, Dk)
    keys = _Features.apply(keys)
    rows = queries.flatten(2, 3)  # (B, G, R * C, Dk)
    scores = (rows @ keys.transpose(-1, -2)).unflatten(2, queries.shape[2:4])  # (B, G, R, C, C)
    scores = scores.mul_(torch.ones_like(scores[0, 0, 0]).tril_()).flatten(2, 3)
    out = scores @ values + rows @ state  # (B, G, R * C, Dv)
    weights = scores.sum(-1, keepdim=True) + rows @ normaliser.unsqueeze(-1)
    out = _normalised(out, weights).unflatten(2, queries.shape[2:4])
    after = state + keys.transpose(-1, -2) @ values, normaliser + keys.sum(2)
    return out.flatten(1, 2), after


def _summed_piece(tokens: Tensors, sums: Tensors) -> tuple[None, Tensors]:
    """Keys and values that are summed up, to be read later."""
    features = _Features.apply(tokens[0])
    return None, (sums[0] + features.transpose(-1, -2) @ tokens[1], sums[1] + features.sum(2))


def _read_piece(tokens: Tensors, sums: Tensors) -> tuple[Tensor, Tensors]:
    """Queries that all see the same; the sums go on as they are."""
    state, normaliser = sums
    queries = _Features.apply(tokens[0]).unflatten(1, (state.shape[1], -1))  # (B, G, R, C, Dk)
    out = queries @ state.unsqueeze(2)  # (B, G, R, C, Dv)
    weights = queries @ normaliser[:, :, None, :, None]  # (B, G, R, C, 1)
    return _normalised(out, weights).flatten(1, 2), sums


class _Features(torch.autograd.Function):
    """`positive_features`, whose slope is min(phi, 1): autograd takes seven operations for that."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        features = positive_features(tensor)
        ctx.save_for_backward(features)
        return features

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> Tensor:
        (features,) = ctx.saved_tensors
        return features.clamp(max=1).mul_(grads[0])


def _normalised(out: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean; where all weights vanish in floating point, 0 and not 0 / 0."""
    return out * weights.clamp_min(torch.finfo(out.dtype).tiny).reciprocal()

"""Linear attention: chunks see each other through a running sum of key-value products.

With phi(x) = elu(x) + 1, the output at i is sum_j phi(q_i).phi(k_j) v_j / sum_j phi(q_i).phi(k_j).
Within a chunk that is a small masked product; earlier chunks come in as one state.

Shapes: B batch, H query heads, G KV heads, R = H / G, T tokens, N chunks, C tokens of a chunk,
Dk and Dv widths of keys and values.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluator.kernels.mixer import HeadShape
from evaluator.kernels.state_cache import StateCache

# Tokens of a chunk: its own scores and the state then cost about the same for D = 64.
LINEAR_CHUNK = 64


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
        if cache is None or cache.length == 0:
            out = attend_linear(query, keys, values, causal=self.causal)
            if cache is not None:
                cache.move(keys.shape[2], *linear_state(keys, values))
            return out
        state, normaliser = cache.kept
        if query.shape[2] == 1:
            out, *after = linear_step(query, keys, values, state, normaliser)
            cache.move(1, *after)
            return out
        queries = positive_features(query).unflatten(1, (keys.shape[1], -1))  # (B, G, R, T, D)
        sums, weights = _causal_sums(queries, positive_features(keys), values)
        sums = sums + queries @ state.unsqueeze(2)
        weights = weights + queries @ normaliser[:, :, None, :, None]
        added, more = linear_state(keys, values)
        cache.move(keys.shape[2], state + added, normaliser + more)
        return _normalised(sums, weights).flatten(1, 2)


def attend_linear(query: Tensor, keys: Tensor, values: Tensor, *, causal: bool = True) -> Tensor:
    """Linear attention over earlier positions, or all: (B, H, T, Dk) to (B, H, T, Dv)."""
    groups = keys.shape[1]
    queries = positive_features(query).unflatten(1, (groups, -1))  # (B, G, R, T, Dk)
    if not causal:
        state, normaliser = linear_state(keys, values)
        out = queries @ state.unsqueeze(2)  # (B, G, R, T, Dv)
        weights = queries @ normaliser[:, :, None, :, None]  # (B, G, R, T, 1)
    else:
        out, weights = _causal_sums(queries, positive_features(keys), values)
    return _normalised(out, weights).flatten(1, 2)


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


def split_chunks(tensor: Tensor, size: int) -> Tensor:
    """The tokens, dimension -2, in chunks; zeros fill the last: (..., N, C, D)."""
    missing = -tensor.shape[-2] % size
    padded = F.pad(tensor, (0, 0, 0, missing)) if missing else tensor
    return padded.unflatten(-2, (-1, size))


def _causal_sums(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Numerator (B, G, R, T, Dv) and denominator (B, G, R, T, 1)."""
    length = values.shape[2]
    size = min(LINEAR_CHUNK, length)
    keys, values = split_chunks(keys, size), split_chunks(values, size)  # (B, G, N, C, D)
    queries = split_chunks(queries, size).transpose(2, 3)  # (B, G, N, R, C, Dk)
    share = queries.shape[3]
    rows = queries.flatten(3, 4)  # (B, G, N, R * C, Dk)
    scores = rows @ keys.transpose(-1, -2)  # (B, G, N, R * C, C)
    earlier = torch.ones(size, size, dtype=scores.dtype, device=scores.device).tril()
    scores = scores * earlier.repeat(share, 1)
    states = _sums_before(keys.transpose(-1, -2) @ values)  # (B, G, N, Dk, Dv)
    normalisers = _sums_before(keys.sum(-2)).unsqueeze(-1)  # (B, G, N, Dk, 1)
    out = scores @ values + rows @ states
    weights = scores.sum(-1, keepdim=True) + rows @ normalisers
    joined = (x.unflatten(3, (share, size)).transpose(2, 3).flatten(3, 4) for x in (out, weights))
    out, weights = (x[:, :, :, :length] for x in joined)
    return out, weights


def _sums_before(chunks: Tensor) -> Tensor:
    """For each chunk, dimension 2, the sum of all earlier ones."""
    return chunks.cumsum(2) - chunks


def _normalised(out: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean; where all weights vanish in floating point, 0 and not 0 / 0."""
    return out / weights.clamp_min(torch.finfo(out.dtype).tiny)

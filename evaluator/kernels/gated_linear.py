"""Gated linear attention: a running sum of key-value products that fades by learned factors.

S <- a S + k v^T and output S^T q / sqrt(Dk), with a decay a per token and KV head, given as its
logarithm. Chunk by chunk; every exponent is a sum of log-decays, hence at most 0 and safe.

Shapes: B batch, H query heads, G KV heads, R = H / G, T tokens, N chunks, C tokens of a chunk,
Dk and Dv widths of keys and values.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluator.kernels.linear import LINEAR_CHUNK, split_chunks
from evaluator.kernels.mixer import HeadShape
from evaluator.kernels.state_cache import StateCache

# Root of the sigmoid that a decay is, so that states last (GLA, arXiv:2312.06635).
TEMPERATURE = 16
OUTPUT_EPS = 1e-5


class GatedLinearMixer(nn.Module):
    """Heads whose state fades; the decay is the mixer's own projection of the layer's input."""

    def __init__(self, pattern: Any, shape: HeadShape, layer: Any) -> None:
        super().__init__()
        self.shape = shape
        self.decay_proj = nn.Linear(shape.width, shape.kv_heads)

    def new_cache(
        self, batch: int, widths: tuple[int, ...], capacity: int, like: Tensor, heads: int
    ) -> StateCache:
        return StateCache(((batch, heads, widths[0], widths[-1]),), like)

    def take_in(
        self, keys: Tensor, values: Tensor, cache: StateCache | None, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, StateCache | None]:
        log_decay = F.logsigmoid(self.decay_proj(x)).transpose(1, 2) / TEMPERATURE  # (B, G, T)
        return keys, values, log_decay, cache

    def forward(
        self, query: Tensor, seen: tuple[Tensor, Tensor, Tensor, StateCache | None]
    ) -> Tensor:
        """(B, H, T, D) over keys and values (B, G, T, D); the state is read, then goes on."""
        keys, values, log_decay, cache = seen
        if cache is not None and query.shape[2] == 1:
            out, state = gated_linear_step(query, keys, values, log_decay, cache.kept[0])
            cache.move(1, state)
            return F.rms_norm(out, out.shape[-1:], eps=OUTPUT_EPS)
        out = attend_gated_linear(query, keys, values, log_decay)
        if cache is not None:
            out = out + self._from_state(query, log_decay, cache.kept[0])
            fade = log_decay.sum(-1).exp()[..., None, None]  # (B, G, 1, 1)
            after = cache.kept[0] * fade + gated_linear_state(keys, values, log_decay)
            cache.move(query.shape[2], after)
        return F.rms_norm(out, out.shape[-1:], eps=OUTPUT_EPS)

    def _from_state(self, query: Tensor, log_decay: Tensor, state: Tensor) -> Tensor:
        """What the tokens before the first of these add: (B, H, T, D)."""
        groups = state.shape[1]
        rows = (query * query.shape[-1] ** -0.5).unflatten(1, (groups, -1))  # (B, G, R, T, D)
        faded = log_decay.cumsum(-1).exp()[:, :, None, :, None]  # (B, G, 1, T, 1)
        return ((rows * faded) @ state.unsqueeze(2)).flatten(1, 2)


def attend_gated_linear(query: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor) -> Tensor:
    """A whole sequence, log_decay (B, G, T): (B, H, T, Dk) to (B, H, T, Dv), not normalised."""
    length, share = query.shape[2], query.shape[1] // keys.shape[1]
    size = min(LINEAR_CHUNK, length)
    scaled = (query * query.shape[-1] ** -0.5).unflatten(1, (-1, share))  # (B, G, R, T, Dk)
    queries = split_chunks(scaled, size).transpose(2, 3)  # (B, G, N, R, C, Dk)
    keys, values = split_chunks(keys, size), split_chunks(values, size)  # (B, G, N, C, D)
    steps = split_chunks(log_decay.unsqueeze(-1), size).squeeze(-1)  # (B, G, N, C)
    between = _decay_between(steps).unsqueeze(3)  # (B, G, N, 1, C, C)
    faded = steps.cumsum(-1)  # (B, G, N, C)
    scores = (queries.flatten(3, 4) @ keys.transpose(-1, -2)).unflatten(3, (share, size)) * between
    until_end = (faded[..., -1:] - faded).exp().unsqueeze(-1)  # (B, G, N, C, 1)
    added = (keys * until_end).transpose(-1, -2) @ values  # (B, G, N, Dk, Dv)
    states = _states_before(added, faded[..., -1].exp())  # (B, G, N, Dk, Dv)
    from_start = faded.exp()[:, :, :, None, :, None]  # (B, G, N, 1, C, 1)
    out = scores.flatten(3, 4) @ values + (queries * from_start).flatten(3, 4) @ states
    out = out.unflatten(3, (share, size)).transpose(2, 3).flatten(3, 4)  # (B, G, R, N * C, Dv)
    return out[:, :, :, :length].flatten(1, 2)


def gated_linear_state(keys: Tensor, values: Tensor, log_decay: Tensor) -> Tensor:
    """What a sequence leaves behind: (B, G, Dk, Dv)."""
    faded = log_decay.cumsum(-1)  # (B, G, T)
    until_end = (faded[..., -1:] - faded).exp().unsqueeze(-1)  # (B, G, T, 1)
    return (keys * until_end).transpose(-1, -2) @ values


def gated_linear_step(
    query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One token, log_decay (B, G, 1): its output (B, H, 1, Dv) and the state after it."""
    state = state * log_decay.exp().unsqueeze(-1) + key.transpose(-1, -2) @ value
    width = query.shape[-1]
    queries = query.reshape(*state.shape[:2], -1, width) * width**-0.5  # (B, G, R, Dk)
    return (queries @ state).reshape(*query.shape[:3], -1), state


def _decay_between(steps: Tensor) -> Tensor:
    """Decay from key j to query i of a chunk, 0 where j is later: (..., C) to (..., C, C).

    In float64, since strong decays before j would take the digits of what lies between.
    """
    size = steps.shape[-1]
    faded = steps.double().cumsum(-1)
    later = torch.ones(size, size, dtype=torch.bool, device=steps.device).triu(1)
    between = (faded.unsqueeze(-1) - faded.unsqueeze(-2)).to(steps.dtype)
    return between.masked_fill(later, -math.inf).exp()


def _states_before(added: Tensor, decay: Tensor) -> Tensor:
    """The state that each chunk starts with; `decay` (B, G, N) is that of whole chunks."""
    state = torch.zeros_like(added[:, :, 0])
    states = []
    for chunk, fade in zip(added.unbind(2), decay[..., None, None].unbind(2), strict=True):
        states.append(state)
        state = state * fade + chunk
    return torch.stack(states, dim=2)

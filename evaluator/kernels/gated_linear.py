"""Gated linear attention: a running sum of key-value products that fades by learned factors.

S <- a S + k v^T and output S^T q / sqrt(Dk), with a decay a per token and KV head, given as its
logarithm. Piece by piece; every exponent is a sum of log-decays, hence at most 0 and safe.

Shapes: B batch, H query heads, G KV heads, R = H / G, T tokens, C tokens of a piece, Dk and Dv
widths of keys and values.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from evaluator.kernels.mixer import HeadShape
from evaluator.kernels.scan import Tensors, scan
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
            out = F.rms_norm(out, out.shape[-1:], eps=OUTPUT_EPS)
        else:
            before = _nothing(keys, values) if cache is None else cache.kept[0]
            out, (state,) = scan(_normed_piece, (query, keys, values, log_decay), (before,))
        if cache is not None:
            cache.move(query.shape[2], state)
        return out


def attend_gated_linear(query: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor) -> Tensor:
    """A whole sequence, log_decay (B, G, T): (B, H, T, Dk) to (B, H, T, Dv), not normalised."""
    return scan(_gated_piece, (query, keys, values, log_decay), (_nothing(keys, values),))[0]


def _nothing(keys: Tensor, values: Tensor) -> Tensor:
    """The state before any token: (B, G, Dk, Dv)."""
    return keys.new_zeros(*keys.shape[:2], keys.shape[3], values.shape[3])


def _normed_piece(tokens: Tensors, sums: Tensors) -> tuple[Tensor, Tensors]:
    """A piece whose rows have their scale taken off, head by head."""
    out, after = _gated_piece(tokens, sums)
    return F.rms_norm(out, out.shape[-1:], eps=OUTPUT_EPS), after


def _gated_piece(tokens: Tensors, sums: Tensors) -> tuple[Tensor, Tensors]:
    """Queries, keys, values and decays (B, G, C) that see themselves and what came before."""
    query, keys, values, log_decay = tokens
    (state,) = sums
    scaled = query * query.shape[-1] ** -0.5
    queries = scaled.unflatten(1, (keys.shape[1], -1))  # (B, G, R, C, Dk)
    rows = queries.shape[2:4]
    scores = (queries.flatten(2, 3) @ keys.transpose(-1, -2)).unflatten(2, rows)
    scores = _Faded.apply(scores, log_decay)  # (B, G, R, C, C)
    faded = log_decay.cumsum(-1)  # (B, G, C)
    from_start = faded.exp()[:, :, None, :, None]  # (B, G, 1, C, 1)
    before = (queries * from_start).flatten(2, 3) @ state  # (B, G, R * C, Dv)
    out = (scores.flatten(2, 3) @ values + before).unflatten(2, rows)  # (B, G, R, C, Dv)
    fade = faded[..., -1].exp()[..., None, None]  # (B, G, 1, 1)
    return out.flatten(1, 2), (state * fade + gated_linear_state(keys, values, log_decay),)


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


class _Faded(torch.autograd.Function):
    """Scores (B, G, R, C, C) times the decay from key j to query i, 0 where j is later.

    Sums of log_decay (B, G, C) are taken with twice the digits, since strong decays before j would
    take those of what lies between. Gradients by hand, since autograd's pass over all pairs more
    often.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, log_decay: Tensor) -> Tensor:
        exact = log_decay.double().cumsum(-1)
        sums = exact.to(log_decay.dtype)  # (B, G, C)
        rest = (exact - sums).to(log_decay.dtype)
        between = sums.unsqueeze(-1) - sums.unsqueeze(-2)  # (B, G, C, C)
        between.add_(rest.unsqueeze(-1)).sub_(rest.unsqueeze(-2))
        between = between.clamp_(max=0).exp_().tril_().unsqueeze(2)
        faded = scores * between
        ctx.save_for_backward(faded, between)
        return faded

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A token's decay lies between all keys before it and all queries from it on."""
        faded, between = ctx.saved_tensors
        shares = (grads[0] * faded).sum(2)  # (B, G, C, C)
        of_sums = shares.sum(-1) - shares.sum(-2)  # (B, G, C)
        return grads[0] * between, of_sums.flip(-1).cumsum(-1).flip(-1)

"""Latent attention: keys and values of all heads are products of one small vector per token.

Multi-head latent attention (DeepSeek-V2, 2024, arXiv:2405.04434) with its parameter names. A whole
sequence forms keys and values and attends as usual. Decoding absorbs the products instead: queries
are taken to the latent's channels, and what they fetch from there to the values.

Shapes: B batch, T tokens, S source tokens, E model width, H query heads, D head dimension, L rank
of the latent, R channels that are turned.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from evaluator.attention import NORM_EPS, exactly, mixer_of, score_scale, without_autocast
from evaluator.kernels.mixer import HeadShape
from evaluator.rotary import Turns, rotate, turned_by


class LatentAttention(nn.Module):
    """One layer's attention over latent keys and values."""

    def __init__(self, width: int, context: int, layer: Any) -> None:
        super().__init__()
        self.heads, self.dim = layer.heads.query, layer.heads.dim
        self.rank: int = layer.sharing.rank
        self.turned: int = layer.sharing.rotary_dim
        self.turned_by = turned_by(layer)
        self.cross = layer.kind == "cross"
        self.keeps_cache = layer.kind != "bidirectional"
        self.q_proj = nn.Linear(width, self.heads * (self.dim + self.turned), bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(width, self.rank + self.turned, bias=False)
        self.kv_a_layernorm = nn.RMSNorm(self.rank, eps=NORM_EPS)
        self.kv_b_proj = nn.Linear(self.rank, self.heads * 2 * self.dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.dim, width, bias=False)
        self.gated = layer.gate.name == "head"
        if self.gated:
            self.gate_proj = nn.Linear(width, self.heads, bias=False)
        shape = HeadShape(width, context, self.heads, self.heads, self.dim, 0, self.heads)
        scale = score_scale(layer, self.dim + self.turned)
        self.mixer = mixer_of(layer.pattern, shape, layer, scale)

    def new_cache(
        self, batch: int, capacity: int, like: Tensor, lends: bool = False
    ) -> list[Any] | None:
        """One cache of latent vectors, as of a single KV head; no layer can reuse it."""
        if not self.keeps_cache:
            return None
        return [self.mixer.new_cache(batch, (self.rank + self.turned,), capacity, like, 1)]

    def forward(
        self,
        x: Tensor,
        turns: Turns,
        cache: list[Any] | None = None,
        source: Tensor | None = None,
        lent: list[Any] | None = None,
    ) -> tuple[Tensor, list[Any]]:
        """(B, T, E) to the same; nothing is lent to other layers."""
        projected = self.q_proj(x).to(self.q_proj.weight.dtype)
        query = projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, D + R)
        if self.turned_by:
            plain, turned = query.split((self.dim, self.turned), dim=-1)
            query = torch.cat((plain, rotate(turned, turns[self.turned_by])), dim=-1)
        held = cache[0] if cache else None
        if self.cross and held is not None and held.length:
            out = self._absorbed(query, self.mixer.recall(held))
        else:
            latents = self._latents(x, source, turns)  # (B, 1, T, L + R)
            seen = self.mixer.take_in(latents, latents, held)
            whole = seen.cache is None or seen.start == 0
            out = self._whole(query, latents) if whole else self._absorbed(query, seen)
        if self.gated:
            out = out * self.gate_proj(x).sigmoid().transpose(1, 2).unsqueeze(-1)
        return self.o_proj(out.transpose(1, 2).flatten(2)), []

    def _latents(self, x: Tensor, source: Tensor | None, turns: Turns) -> Tensor:
        """What is kept of each token, turned channels last."""
        looked_at = source if self.cross else x
        assert looked_at is not None, "cross attention needs a source"
        latent, turned = self.kv_a_proj_with_mqa(looked_at).split((self.rank, self.turned), dim=-1)
        latent = exactly(self.kv_a_layernorm, latent).unsqueeze(1)  # (B, 1, T, L)
        turned = turned.to(latent.dtype)
        if not self.turned_by:
            return latent
        turned = rotate(turned.unsqueeze(1), turns[self.turned_by])
        return torch.cat((latent, turned), dim=-1)

    def _whole(self, query: Tensor, latents: Tensor) -> Tensor:
        """A sequence from its beginning, keys and values formed: (B, H, T, D)."""
        latent, turned = latents.squeeze(1).split((self.rank, self.turned), dim=-1)
        up = self.kv_b_proj(latent).to(latent.dtype)
        up = up.unflatten(-1, (self.heads, 2 * self.dim)).transpose(1, 2)
        keys, values = up.chunk(2, dim=-1)  # (B, H, T, D) each
        if self.turned:
            shared = turned.unsqueeze(1).expand(-1, self.heads, -1, -1)
            keys = torch.cat((keys, shared), dim=-1)
        with without_autocast(query):
            return self.mixer(query, self.mixer.take_in(keys, values, None))

    def _absorbed(self, query: Tensor, seen: Any) -> Tensor:
        """New tokens over the latents themselves: (B, H, T, D)."""
        up = self.kv_b_proj.weight.view(self.heads, 2, self.dim, self.rank)
        plain, turned = query.split((self.dim, self.turned), dim=-1)
        absorbed = torch.cat((plain @ up[:, 0], turned), dim=-1)  # (B, H, T, L + R)
        fetched = self.mixer(absorbed, seen, self.rank)  # (B, H, T, L)
        return fetched @ up[:, 1].transpose(-1, -2)

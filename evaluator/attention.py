"""Attention: a layer's projections, around the mixers of its patterns.

Parameters are named as in Llama (`q_proj`, `k_proj`, `v_proj`, `o_proj`), and as in Qwen 3 where
queries and keys are normalised (`q_norm`, `k_norm`).

Shapes: B batch, T tokens, S source tokens, E model width, H query heads, G KV heads, D head
dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from evaluator.kernels import KERNELS
from evaluator.kernels.mixer import HeadShape, TokenMixer
from evaluator.rotary import Turns, rotate, rotate_back, turned_by

NORM_EPS = 1e-5
ALWAYS = nullcontext()


def exactly(norm: nn.RMSNorm, x: Tensor) -> Tensor:
    """Normalised in the norm's own precision, whatever autocast made of what it is given."""
    return norm(x.to(norm.weight.dtype))


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Mixing is done in full precision: kernels keep sums, and recompute outside autocast."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else ALWAYS


def mixer_of(pattern: Any, shape: HeadShape, layer: Any, scale: float) -> Any:
    """The mixer for heads of a layer that attend in this pattern."""
    kernel = KERNELS[pattern.name]
    if issubclass(kernel, nn.Module):
        return kernel(pattern, shape, layer)
    return TokenMixer(kernel(pattern), shape, layer, scale)


def score_scale(layer: Any, width: int) -> float:
    """What inner products over `width` channels are multiplied with."""
    return 1.0 if layer.score.name == "dot" else width**-0.5


def by_pattern(tensor: Tensor, counts: list[int]) -> Sequence[Tensor]:
    """The heads (B, H, T, D) of each pattern, without a view where there is one."""
    return (tensor,) if len(counts) == 1 else tensor.split(counts, dim=1)


class Attention(nn.Module):
    """One layer's attention, in any pattern, with keys of its own or another layer's."""

    def __init__(self, width: int, context: int, layer: Any) -> None:
        super().__init__()
        heads = layer.heads
        self.heads, self.kv_heads, self.dim = heads.query, heads.kv, heads.dim
        self.turned_by = turned_by(layer)
        self.cross = layer.kind == "cross"
        self.keeps_cache = layer.kind != "bidirectional"
        self.makes_keys = layer.sharing.name != "reused"
        self.one_tensor = layer.sharing.name == "one-tensor"
        self.q_proj = nn.Linear(width, heads.query * heads.dim, bias=False)
        if self.makes_keys:
            self.k_proj = nn.Linear(width, heads.kv * heads.dim, bias=False)
            if not self.one_tensor:
                self.v_proj = nn.Linear(width, heads.kv * heads.dim, bias=False)
        self.o_proj = nn.Linear(heads.query * heads.dim, width, bias=False)
        self.normalised = layer.score.name == "cosine"
        if self.normalised:
            self.q_norm = nn.RMSNorm(heads.dim, eps=NORM_EPS)
            if self.makes_keys:
                self.k_norm = nn.RMSNorm(heads.dim, eps=NORM_EPS)
        self.gated = layer.gate.name == "head"
        if self.gated:
            self.gate_proj = nn.Linear(width, heads.query, bias=False)
        scale = score_scale(layer, heads.dim)
        given = layer.split.kv_heads if layer.split else 0
        self.kv_counts = [heads.kv - given, given] if given else [heads.kv]
        patterns = [layer.pattern, layer.split.pattern] if given else [layer.pattern]
        group = heads.query // heads.kv
        self.head_counts = [count * group for count in self.kv_counts]
        self.mixers = nn.ModuleList()
        first = 0
        for pattern, count, own in zip(patterns, self.kv_counts, self.head_counts, strict=True):
            shape = HeadShape(width, context, own, count, heads.dim, first, heads.query)
            self.mixers.append(mixer_of(pattern, shape, layer, scale))
            first += own

    def new_cache(
        self, batch: int, capacity: int, like: Tensor, lends: bool = False
    ) -> list[Any] | None:
        """A cache per mixer; none where keys are another layer's or nothing is generated."""
        if not self.makes_keys or not self.keeps_cache:
            return None
        widths = (self.dim,) if self.one_tensor else (self.dim, self.dim)
        more = (True,) if lends else ()  # mixers of tokens alone are asked to
        return [
            mixer.new_cache(batch, widths, capacity, like, count, *more)
            for mixer, count in zip(self._mixers(), self.kv_counts, strict=True)
        ]

    def forward(
        self,
        x: Tensor,
        turns: Turns,
        cache: list[Any] | None = None,
        source: Tensor | None = None,
        lent: list[Any] | None = None,
    ) -> tuple[Tensor, list[Any]]:
        """(B, T, E) to the same, and what it attended to, for layers that reuse it.

        `source` (B, S, E) is what cross attention looks at; `lent` is what the anchor attended to.
        """
        query = self._heads(self.q_proj(x), self.heads)  # (B, H, T, D)
        query = exactly(self.q_norm, query) if self.normalised else query
        turn = turns[self.turned_by] if self.turned_by else None
        query = rotate(query, turn) if turn else query
        seen = lent if lent is not None else self._taken_in(x, source, turns, cache)
        parts = zip(self._mixers(), by_pattern(query, self.head_counts), seen, strict=True)
        with without_autocast(x):
            mixed = [mixer(part, what) for mixer, part, what in parts]
        out = mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=1)  # (B, H, T, D)
        if turn and seen[0][0] is seen[0][1]:  # values were turned with the keys
            out = rotate_back(out, turn)
        if self.gated:
            out = out * self.gate_proj(x).sigmoid().transpose(1, 2).unsqueeze(-1)
        out = out.transpose(1, 2).reshape(*x.shape[:2], self.heads * self.dim)
        return self.o_proj(out), seen

    def _taken_in(
        self, x: Tensor, source: Tensor | None, turns: Turns, cache: list[Any] | None
    ) -> list[Any]:
        """Keys and values of the new tokens, or of the source, in the cache if there is one."""
        if self.cross and cache is not None and cache[0].length:
            return [mixer.recall(held) for mixer, held in zip(self._mixers(), cache, strict=True)]
        looked_at = source if self.cross else x
        assert looked_at is not None, "cross attention needs a source"
        keys = self._heads(self.k_proj(looked_at), self.kv_heads)  # (B, G, T, D)
        keys = exactly(self.k_norm, keys) if self.normalised else keys
        keys = rotate(keys, turns[self.turned_by]) if self.turned_by else keys
        own_keys = by_pattern(keys, self.kv_counts)
        own_values = own_keys  # the very same tensors, which is how they are told
        if not self.one_tensor:
            values = self._heads(self.v_proj(looked_at), self.kv_heads)
            own_values = by_pattern(values, self.kv_counts)
        held = cache or [None] * len(self.kv_counts)
        parts = zip(self._mixers(), own_keys, own_values, held, strict=True)
        with without_autocast(x):
            return [mixer.take_in(k, v, c, x) for mixer, k, v, c in parts]

    def _mixers(self) -> list[Any]:
        return list(self.mixers)

    def _heads(self, projected: Tensor, heads: int) -> Tensor:
        exact = self.q_proj.weight.dtype
        projected = projected if projected.dtype == exact else projected.to(exact)
        return projected.unflatten(-1, (heads, self.dim)).transpose(1, 2)  # (B, heads, T, D)

"""Mixer: the query heads of a layer that attend in one pattern, in training and over a cache.

Three ways lead through it. A whole sequence goes to the pattern's own kernel. One new token reads
from the cache just what its position sees. Several new tokens behind cached ones get a mask.

Shapes: B batch, H query heads, G KV heads, T new tokens, S keys, Dk and Dv widths of keys and
values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from evaluator.kernels.block_local import BlockLocalKernel
from evaluator.kernels.cache import Range, TokenCache
from evaluator.kernels.chunked_scores import alibi_slopes, attend_with_bias
from evaluator.kernels.decode import attend_cached, attend_scored, attend_where
from evaluator.kernels.dense import DenseKernel
from evaluator.kernels.short_sequences import ShortMasks


class Kernel(Protocol):
    """What a mixer asks of a pattern that attends to tokens; positions count from 0."""

    def __init__(self, pattern: Any) -> None: ...

    def full(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, causal: bool
    ) -> Tensor:
        """A whole sequence: (B, H, T, Dk) over (B, G, T, Dk and Dv) to (B, H, T, Dv)."""
        ...

    def sees(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        """The pattern's causal formula, elementwise."""
        ...

    def kept(self, capacity: int) -> tuple[int, int]:
        """First and most recent positions that decoding up to `capacity` tokens keeps."""
        ...

    def reads(self, position: int) -> list[Range]:
        """The positions that a causal query at `position` attends to, ascending."""
        ...


class Seen(NamedTuple):
    """Keys and values of one step, for the layer that made them and for those that reuse them."""

    keys: Tensor  # (B, G, S, Dk): the new tokens', behind all cached ones if several are new
    values: Tensor  # (B, G, S, Dv)
    cache: TokenCache | None
    start: int = 0  # tokens before the new ones
    key_at: Tensor | None = None  # (S,), where several tokens come behind cached ones


class HeadShape(NamedTuple):
    """The heads that a mixer has, among those of its layer."""

    width: int  # of the model
    context: int  # longest sequence
    heads: int  # query heads
    kv_heads: int
    dim: int
    first_head: int
    all_heads: int


class TokenMixer(nn.Module):
    """Heads that attend to tokens one by one, with any score."""

    # Takes whole sequences where it can; nothing that is measured or exported sets it.
    faster: ClassVar[Callable[..., Tensor | None] | None] = None

    direction: Tensor | None
    slopes: Tensor | None

    def __init__(self, kernel: Kernel, shape: HeadShape, layer: Any, scale: float | None) -> None:
        super().__init__()
        self.kernel, self.shape, self.scale = kernel, shape, scale
        self.kind: str = layer.kind
        self.causal = layer.kind == "causal"
        whole = isinstance(kernel, (DenseKernel, BlockLocalKernel))  # no mask makes these faster
        sparse = layer.kind != "cross" and not whole
        self.short = ShortMasks(self.visible) if sparse else None
        additive, penalised = layer.score.name == "additive", layer.position.name == "alibi"
        self.direction = nn.Parameter(torch.empty(shape.heads, shape.dim)) if additive else None
        if self.direction is not None:
            nn.init.normal_(self.direction, std=shape.dim**-0.5)
        own = slice(shape.first_head, shape.first_head + shape.heads)
        slopes = alibi_slopes(shape.all_heads)[own] if penalised else None
        self.register_buffer("slopes", slopes, persistent=False)

    def new_cache(
        self,
        batch: int,
        widths: tuple[int, ...],
        capacity: int,
        like: Tensor,
        heads: int,
        lends: bool = False,
    ) -> TokenCache:
        """Room for what `capacity` tokens leave to be seen.

        A layer that lends keeps what it keeps in the longest sequence: that, and no less, is known
        to be enough for those that reuse it.
        """
        kept = self.kernel.kept(self.shape.context if lends else capacity)
        kept = kept if self.causal else (0, capacity)
        return TokenCache((batch, heads), widths, kept, capacity, like)

    def take_in(
        self, keys: Tensor, values: Tensor, cache: TokenCache | None, x: Tensor | None = None
    ) -> Seen:
        """New keys and values (B, G, T, D), also into the cache; `values` may be the keys."""
        if cache is None:
            return Seen(keys, values, None)
        start, fresh = cache.length, (keys, values)[: len(cache.kept)]
        if start == 0 or keys.shape[2] == 1:
            cache.append(*fresh)
            return Seen(keys, values, cache, start)
        old, at = cache.in_order()
        new_at = torch.arange(start, start + keys.shape[2], device=at.device)
        joined = [torch.cat(pair, dim=2) for pair in zip(old, fresh, strict=True)]
        cache.append(*fresh)
        return Seen(joined[0], joined[-1], cache, start, torch.cat((at, new_at)))

    def recall(self, cache: TokenCache) -> Seen:
        """What another sequence left in the cache, once and for all."""
        kept = cache.filled()
        return Seen(kept[0], kept[-1], cache, cache.length)

    def forward(self, query: Tensor, seen: Seen, value_width: int | None = None) -> Tensor:
        """(B, H, T, Dk) over what was taken in: (B, H, T, Dv).

        With a `value_width`, values are the first channels of the keys.
        """
        if not self.causal:
            return self._everything(query, seen.keys, seen.values[..., :value_width])
        if seen.cache is None or seen.start == 0:
            return self._whole(query, seen.keys, seen.values[..., :value_width])
        if query.shape[2] == 1:
            return self._one(query, seen.cache, seen.start, value_width)
        assert seen.key_at is not None
        query_at = seen.start + torch.arange(query.shape[2], device=query.device)
        visible = self.kernel.sees(query_at[:, None], seen.key_at[None, :])  # (T, S)
        keys, values = seen.keys, seen.values[..., :value_width]
        if self.direction is None and self.slopes is None:
            return attend_where(query, keys, values, visible, self.scale)
        distance = (query_at[:, None] - seen.key_at[None, :]).abs()
        learned = (self.slopes, self.direction)
        return attend_scored(query, keys, values, visible, distance, *learned, self.scale)

    def _whole(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """A sequence from its beginning."""
        if self.faster is not None and (out := self.faster(query, keys, values)) is not None:
            return out
        if self.direction is None and self.slopes is None:
            mask = self.short.mask(query) if self.short else None
            if mask is not None:
                return attend_where(query, keys, values, mask, self.scale)
            return self.kernel.full(query, keys, values, self.scale, self.causal)
        other = self.kind == "cross"  # all of another sequence
        return attend_with_bias(
            query,
            keys,
            values,
            None if other else self.visible,
            None if other else self.span(keys.shape[2]),
            slopes=self.slopes,
            direction=self.direction,
            scale=self.scale,
        )

    def _everything(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """All positions of a sequence, both ways, or those of another."""
        if query.shape[2] == 1 and self.direction is None:  # nor is there any distance
            return attend_cached(query, keys, values, self.scale)
        return self._whole(query, keys, values)

    def visible(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        """The pattern's formula, both ways where attention goes both ways."""
        if self.causal:
            return self.kernel.sees(query_at, key_at)
        return self.kernel.sees(torch.maximum(query_at, key_at), torch.minimum(query_at, key_at))

    def span(self, length: int) -> Any:
        """The keys among which rows of a sequence find theirs."""
        first, recent = self.kernel.kept(length)

        def keys_of(row: int, last: int) -> tuple[int, int]:
            start = 0 if first else max(0, row - recent + 1)
            if self.causal:
                return start, last + 1
            return (0, length) if first or row < first else (start, min(length, last + recent))

        return keys_of

    def _one(
        self, query: Tensor, cache: TokenCache, position: int, value_width: int | None
    ) -> Tensor:
        """The newest token, which the cache holds already."""
        ranges = self.kernel.reads(position)
        count = sum(len(range(*some)) for some in ranges)
        everything = count == min(cache.length, cache.slots)
        kept = cache.filled() if everything else cache.read(ranges)
        keys, values = kept[0], kept[-1][..., :value_width]
        if self.direction is None and self.slopes is None:
            return attend_cached(query, keys, values, self.scale)
        if everything:
            key_at = cache.positions(query.device)
        else:
            key_at = torch.cat([torch.arange(*some, device=query.device) for some in ranges])
        distance = (position - key_at)[None, :]
        learned = (self.slopes, self.direction)
        return attend_scored(query, keys, values, None, distance, *learned, self.scale)

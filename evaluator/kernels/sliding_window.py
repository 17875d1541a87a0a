"""Sliding-window attention whose time follows the window, forward and backward.

Rows are cut into chunks; each chunk attends to its own span of keys only, with one small band
mask shared by all chunks. On CPU the spans are overlapping views (nothing is copied), computed by
the fused kernel; the backward pass adds the spans' gradients back into place. Elsewhere the spans
are copied out and autograd does the rest.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension, C rows of a chunk, M chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.kernels.cache import KVCache
from evaluator.kernels.decode import decode_one, extend

# Rows of a chunk: short ones waste few keys, long ones make better matrix products.
# `benchmarks/kernels.py --chunks` compares them (docs/log.md).
CHUNK = 64

# Gradients of spans are written apart and added up; done in groups that stay in a core's cache,
# since filling fresh memory for all spans at once cost a tenth of the backward pass.
SPAN_GRADIENT_BYTES = 4 << 20

# The CPU's fused kernel has no public name; a release that moves it falls back to copies.
HAS_FUSED = hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")


class SlidingWindowKernel:
    """Every position sees itself and the `window - 1` before it."""

    def __init__(self, pattern: Any) -> None:
        self.window: int = pattern.window

    def full(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """A whole sequence: (B, H, T, D) over two of (B, G, T, D)."""
        if query.shape[2] <= self.window:
            return F.scaled_dot_product_attention(
                query, keys, values, is_causal=True, enable_gqa=True
            )
        if query.device.type == "cpu" and HAS_FUSED:
            return _FusedWindow.apply(query, keys, values, self.window)
        return window_by_copies(query, keys, values, self.window)

    def new_cache(
        self, batch: int, kv_heads: int, dim: int, capacity: int, like: Tensor
    ) -> KVCache:
        """A ring of one window, or of `capacity` tokens where that is less."""
        wraps = capacity > self.window
        return KVCache(batch, kv_heads, min(capacity, self.window), dim, wraps=wraps, like=like)

    def one(self, query: Tensor, cache: KVCache) -> Tensor:
        """The newest token over the cache that holds it: (B, H, 1, D) to the same."""
        return decode_one(query, cache)

    def more(self, query: Tensor, keys: Tensor, values: Tensor, cache: KVCache) -> Tensor:
        """Several new tokens after cached ones: (B, H, T, D) to the same."""
        return extend(query, keys, values, cache, reach=self.window)


class _Piece(NamedTuple):
    """`chunks` chunks of `rows` queries each; chunk m starts at row `first + m * rows`."""

    first: int
    rows: int
    chunks: int
    first_key: int  # of chunk 0
    span: int  # keys of one chunk

    def groups(self, most: int) -> Iterator[_Piece]:
        """The same chunks in pieces of at most `most` chunks."""
        for done in range(0, self.chunks, most):
            skipped = done * self.rows
            yield self._replace(
                first=self.first + skipped,
                first_key=self.first_key + skipped,
                chunks=min(most, self.chunks - done),
            )


def _pieces(length: int, window: int) -> list[_Piece]:
    """All rows: a causal head of one window, whole chunks, and what is left."""
    count, rest = divmod(length - window, CHUNK)
    pieces = [_Piece(0, window, 1, 0, window)]
    if count:
        pieces.append(_Piece(window, CHUNK, count, 1, window + CHUNK - 1))
    if rest:
        done = length - rest
        pieces.append(_Piece(done, rest, 1, done - window + 1, window + rest - 1))
    return pieces


def _band(piece: _Piece, window: int, like: Tensor) -> Tensor | None:
    """The additive mask all chunks of a piece share, (C, span); None for the causal head."""
    if piece.first == 0:
        return None
    row = torch.arange(piece.rows, device=like.device)[:, None]
    key = torch.arange(piece.span, device=like.device)[None, :]
    hidden = (key < row) | (key >= row + window)
    return torch.zeros(hidden.shape, dtype=like.dtype, device=like.device).masked_fill_(
        hidden, -math.inf
    )


def _rows_of(tensor: Tensor, piece: _Piece) -> Tensor:
    """The piece's rows of a contiguous (B, H, T, ...) as a view (M, B * H, C, ...)."""
    batch, heads, length, *rest = tensor.shape
    width = math.prod(rest)
    inner = [1] if rest else []
    return tensor.as_strided(
        (piece.chunks, batch * heads, piece.rows, *rest),
        (piece.rows * width, length * width, width, *inner),
        piece.first * width,
    )


def _spans_of(tensor: Tensor, piece: _Piece) -> Tensor:
    """The piece's keys of a contiguous (B, G, T, D) as an overlapping view (M, B * G, span, D)."""
    batch, heads, length, dim = tensor.shape
    return tensor.as_strided(
        (piece.chunks, batch * heads, piece.span, dim),
        (piece.rows * dim, length * dim, dim, 1),
        piece.first_key * dim,
    )


class _FusedWindow(torch.autograd.Function):
    """Chunks through the CPU's fused kernel, which autograd can't reach on overlapping views.

    Batch and heads are merged: query head h of B * H uses KV head h // (H / G) of B * G, so the
    kernel's own grouping holds.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
        query, keys, values = query.contiguous(), keys.contiguous(), values.contiguous()
        out = torch.empty_like(query)
        lse = query.new_empty(query.shape[:3], dtype=torch.float32)
        if query.dtype == torch.float64:
            lse = lse.double()
        for piece in _pieces(query.shape[2], window):
            mask = _band(piece, window, query)
            part, part_lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                _rows_of(query, piece),
                _spans_of(keys, piece),
                _spans_of(values, piece),
                0.0,
                mask is None,
                attn_mask=mask,
            )
            _rows_of(out, piece).copy_(part)
            _rows_of(lse, piece).copy_(part_lse)
        ctx.save_for_backward(query, keys, values, out, lse)
        ctx.window = window
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, keys, values, out, lse = ctx.saved_tensors
        grad_out = grads[0].contiguous()
        grad_query = torch.empty_like(query)
        grad_keys, grad_values = torch.zeros_like(keys), torch.zeros_like(values)
        for piece in _pieces(query.shape[2], ctx.window):
            mask = _band(piece, ctx.window, query)
            span_bytes = keys[:, :, 0].nbytes * piece.span
            for group in piece.groups(max(1, SPAN_GRADIENT_BYTES // span_bytes)):
                part = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                    _rows_of(grad_out, group),
                    _rows_of(query, group),
                    _spans_of(keys, group),
                    _spans_of(values, group),
                    _rows_of(out, group),
                    _rows_of(lse, group),
                    0.0,
                    mask is None,
                    attn_mask=mask,
                )
                _rows_of(grad_query, group).copy_(part[0])
                _add_spans(grad_keys, part[1], group)
                _add_spans(grad_values, part[2], group)
        return grad_query, grad_keys, grad_values, None


def _add_spans(total: Tensor, spans: Tensor, piece: _Piece) -> None:
    """Add overlapping spans (M, B * G, span, D) into (B, G, T, D), one shift of C keys at a time.

    Keys of one shift belong to different chunks and never overlap, so each shift is one plain add.
    """
    for start in range(0, piece.span, piece.rows):
        width = min(piece.rows, piece.span - start)
        shift = piece._replace(first_key=piece.first_key + start, span=width)
        _spans_of(total, shift).add_(spans[:, :, start : start + width])


def window_by_copies(query: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
    """The same attention on any device: spans copied out, gradients by autograd."""
    batch, heads, length, dim = query.shape
    groups = keys.shape[1]
    parts = []
    for piece in _pieces(length, window):
        mask = _band(piece, window, query)
        rows = query[:, :, piece.first : piece.first + piece.chunks * piece.rows]
        last_key = piece.first_key + (piece.chunks - 1) * piece.rows + piece.span
        chunk = (batch, groups, piece.chunks, piece.span, dim)
        spans = [
            kv[:, :, piece.first_key : last_key]
            .unfold(2, piece.span, piece.rows)  # (B, G, M, D, span)
            .transpose(3, 4)
            .reshape(chunk)
            .transpose(1, 2)
            .flatten(0, 1)  # (B * M, G, span, D)
            for kv in (keys, values)
        ]
        part = F.scaled_dot_product_attention(
            rows.unflatten(2, (piece.chunks, piece.rows)).transpose(1, 2).flatten(0, 1),
            *spans,
            attn_mask=mask,
            is_causal=mask is None,
            enable_gqa=True,
        )  # (B * M, H, C, D)
        part = part.unflatten(0, (batch, piece.chunks)).transpose(1, 2)  # (B, H, M, C, D)
        parts.append(part.reshape(batch, heads, piece.chunks * piece.rows, dim))
    return torch.cat(parts, dim=2)

"""Attention whose scores no fused kernel takes: penalties by distance, and additive scores.

Rows are taken a few at a time over the keys that they can see, and taken again in the backward
pass, so that no matrix of all pairs is ever held.

Shapes: B batch, H query heads, G KV heads, R = H / G, T queries, S keys, C rows and K keys of a
chunk, Dk and Dv widths of keys and values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Scores, or additive scores' channels, that a chunk of rows may hold at once.
CHUNK_BYTES = 32 << 20
MOST_ROWS = 128

# Whether query positions (C, 1) see key positions (1, K), elementwise.
VisibleAt = Callable[[Tensor, Tensor], Tensor]
# First and stop of the keys that rows `first` to `last` can see.
KeySpan = Callable[[int, int], tuple[int, int]]


def attend_with_bias(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    visible: VisibleAt | None,
    span: KeySpan | None = None,
    *,
    slopes: Tensor | None = None,
    direction: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Softmax attention with any scores: (B, H, T, Dk) over (B, G, S, Dk) and (B, G, S, Dv).

    Scores are q.k * scale or, with a `direction` v (H, Dk), v.tanh(q + k), which has no scale;
    then `slopes` (H,) times |i - j| are taken off. Every row has to see some key. No `visible`
    means that all keys are seen, and no `span` that any may be.
    """
    used_scale = keys.shape[-1] ** -0.5 if scale is None else scale
    scores = _Scores(visible, span or (lambda first, last: (0, keys.shape[2])), used_scale)
    return _ChunkedRows.apply(query, keys, values, slopes, direction, scores)


def alibi_slopes(heads: int) -> Tensor:
    """Press et al. 2021, arXiv:2108.12409: head h of H, from 1, has 2 ** (-8 h / H). (H,)"""
    return torch.tensor([2.0 ** (-8 * (head + 1) / heads) for head in range(heads)])


class _Scores:
    """What the rows of one call have in common."""

    def __init__(self, visible: VisibleAt | None, span: KeySpan, scale: float) -> None:
        self.visible, self.span, self.scale = visible, span, scale

    def chunks(self, query: Tensor, additive: bool) -> Iterator[tuple[int, int, int, int]]:
        """First and stop of rows and of keys: few rows where they see much."""
        batch, heads, length, width = query.shape
        of_a_score = batch * heads * query.element_size() * (width if additive else 1)
        row = 0
        while row < length:
            most = min(MOST_ROWS, length - row)
            first, stop = self.span(row, row + most - 1)
            most = min(most, max(1, CHUNK_BYTES // (of_a_score * (stop - first))))
            first, stop = self.span(row, row + most - 1)
            yield row, row + most, first, stop
            row += most

    def rows(
        self,
        at: tuple[int, int],
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        slopes: Tensor | None,
        direction: Tensor | None,
    ) -> Tensor:
        """Output of a chunk whose first row and key are `at`: (B, H, C, Dv)."""
        groups = keys.shape[1]
        rows = query.unflatten(1, (groups, -1))  # (B, G, R, C, Dk)
        if direction is None:
            product = rows.flatten(2, 3) @ keys.transpose(-1, -2)  # (B, G, R * C, K)
            scores = product.unflatten(2, rows.shape[2:4]) * self.scale  # (B, G, R, C, K)
        else:
            channels = torch.tanh(rows.unsqueeze(4) + keys[:, :, None, None])
            scores = (channels @ direction.view(groups, -1, 1, direction.shape[-1], 1)).squeeze(-1)
        query_at = torch.arange(at[0], at[0] + query.shape[2], device=query.device)[:, None]
        key_at = torch.arange(at[1], at[1] + keys.shape[2], device=query.device)[None, :]
        if slopes is not None:
            distance = (query_at - key_at).abs().to(scores.dtype)  # (C, K)
            scores = scores - slopes.view(groups, -1, 1, 1) * distance
        if self.visible is not None:
            scores = scores.masked_fill(~self.visible(query_at, key_at), -math.inf)
        weights = scores.softmax(-1).flatten(2, 3)  # (B, G, R * C, K)
        return (weights @ values).unflatten(2, rows.shape[2:4]).flatten(1, 2)


class _ChunkedRows(torch.autograd.Function):
    """Chunks of rows, computed once more for their gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        slopes: Tensor | None,
        direction: Tensor | None,
        scores: _Scores,
    ) -> Tensor:
        out = query.new_empty(*query.shape[:3], values.shape[-1])
        for row, end, first, stop in scores.chunks(query, direction is not None):
            out[:, :, row:end] = scores.rows(
                (row, first),
                query[:, :, row:end],
                keys[:, :, first:stop],
                values[:, :, first:stop],
                slopes,
                direction,
            )
        ctx.save_for_backward(query, keys, values, slopes, direction)
        ctx.scores = scores
        return out

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        query, keys, values, *learned = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:5]
        totals = [
            torch.zeros_like(x) if wants else None
            for x, wants in zip(ctx.saved_tensors, wanted, strict=True)
        ]
        for row, end, first, stop in ctx.scores.chunks(query, learned[1] is not None):
            inside = [slice(row, end), slice(first, stop), slice(first, stop)]
            pieces = [x[:, :, at] for x, at in zip((query, keys, values), inside, strict=True)]
            leaves = [None if x is None else x.detach() for x in pieces + learned]
            known = [x for x, wants in zip(leaves, wanted, strict=True) if wants and x is not None]
            for leaf in known:
                leaf.requires_grad_()
            with torch.enable_grad():
                out = ctx.scores.rows((row, first), *leaves)
            shares = iter(torch.autograd.grad(out, known, grads[0][:, :, row:end]))
            for total, at in zip(totals, [*inside, ..., ...], strict=True):
                if total is not None:
                    (total if at is ... else total[:, :, at]).add_(next(shares))
        return (*totals, None)

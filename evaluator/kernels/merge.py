"""Attention over parts, merged by their log-sum-exps: exact, and no score is computed for nothing.

A row's softmax over several sets of keys is the mean of its softmaxes over each, weighted by the
exponentials of their log-sum-exps. On CPU each part goes through PyTorch's fused kernel, whose
log-sum-exp autograd knows nothing of; so the backward pass is written here too: the fused backward
of each part, given the *merged* output and log-sum-exp, yields that part's share of the gradients.
Elsewhere keys are copied out per part and autograd does the rest.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension, M chunks, C rows and S keys
of a chunk. A kernel sees batch and heads as one: query head h of B * H uses KV head h // (H / G)
of B * G, so its own grouping of heads holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from evaluator.kernels.parts import BACKWARD_BYTES, FORWARD_BYTES, Part, heads_in_a_row
from evaluator.kernels.products import (
    attend_by_products,
    gradients_by_products,
    multiplies_faster,
)
from evaluator.kernels.widths import equal_widths

# The CPU's fused kernel has no public name; a release that moves it falls back to copies.
HAS_FUSED = hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")

# The log-sum-exp of no keys at all. Minus infinity would be right, but makes NaN of differences.
NOTHING_SEEN = -1e30


class AnyPart(Protocol):
    """What merging asks of a part; `Part` is the one with evenly spaced rows and keys."""

    @property
    def is_causal(self) -> bool: ...

    @property
    def merges(self) -> bool: ...

    def mask(self, like: Tensor) -> Tensor | None: ...

    def groups(self, positions: int) -> Iterator[Any]: ...

    def rows_of(self, tensor: Tensor) -> Tensor: ...

    def keys_of(self, tensor: Tensor) -> Tensor: ...

    def store_rows(self, total: Tensor, part: Tensor) -> None: ...

    def add_keys(self, total: Tensor, part: Tensor) -> None: ...

    def row_positions(self, device: torch.device) -> Tensor: ...

    def key_positions(self, device: torch.device) -> Tensor: ...


def attend_parts(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    parts: Sequence[AnyPart],
    *,
    scale: float | None = None,
) -> Tensor:
    """Attention of all rows: (B, H, T, Dk) over (B, G, S, Dk) and (B, G, S, Dv)."""
    even = equal_widths(query, keys, values, scale)
    if query.device.type == "cpu" and HAS_FUSED:
        out = _FusedParts.apply(even.query, even.keys, even.values, parts, even.scale)
    else:
        out = parts_by_copies(even.query, even.keys, even.values, parts, even.scale)
    return even.cut(out)


class _FusedParts(torch.autograd.Function):
    """Parts through the CPU's fused kernel, on views that autograd can't see through."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        parts: Sequence[AnyPart],
        scale: float,
    ) -> Tensor:
        in_place = all(isinstance(part, Part) for part in parts)  # others copy, best what is whole
        whole = heads_in_a_row if in_place else Tensor.contiguous
        query, keys, values = whole(query), whole(keys), whole(values)
        out = _empty_output(query) if in_place else torch.empty_like(query)
        exact = torch.float64 if query.dtype == torch.float64 else torch.float32
        lse = query.new_empty(query.shape[:3], dtype=exact)  # (B, H, T)
        alone = not any(part.merges for part in parts)  # then nobody asks what blind rows saw
        room = max(1, FORWARD_BYTES // keys[:, :, 0].nbytes)  # positions at a time
        multiplied: set[AnyPart] = set()
        for part in parts:
            if multiplies_faster(part, query) and attend_by_products(
                part, query, keys, values, out, lse, scale
            ):
                multiplied.add(part)
                continue
            mask = part.mask(query)
            blind = None if mask is None or alone else _blind_rows(mask)
            for group in part.groups(room):
                new, new_lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                    group.rows_of(query),
                    group.keys_of(keys),
                    group.keys_of(values),
                    0.0,
                    part.is_causal,
                    attn_mask=mask,
                    scale=scale,
                )  # (M, B * H, C, D) and (M, B * H, C)
                if blind is not None:  # the kernel says 0
                    new_lse = new_lse.masked_fill(blind, NOTHING_SEEN)
                if part.merges:
                    _merge_rows(group.rows_of(out), group.rows_of(lse), new, new_lse)
                else:
                    group.store_rows(out, new)
                    group.store_rows(lse, new_lse)
        ctx.save_for_backward(query, keys, values, out, lse)
        ctx.parts, ctx.scale, ctx.multiplied, ctx.whole = parts, scale, multiplied, whole
        return out

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, keys, values, out, lse = ctx.saved_tensors
        grad_out = ctx.whole(grads[0])
        grad_query = torch.empty_like(query)
        grad_keys, grad_values = torch.zeros_like(keys), torch.zeros_like(values)
        room = max(1, BACKWARD_BYTES // keys[:, :, 0].nbytes)  # positions at a time
        for part in ctx.parts:
            if part in ctx.multiplied:
                found = (grad_query, grad_keys, grad_values)
                inputs = (query, keys, values)
                gradients_by_products(part, inputs, (out, lse), grad_out, found, ctx.scale)
                continue
            mask = part.mask(query)
            for group in part.groups(room):
                share = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                    group.rows_of(grad_out),
                    group.rows_of(query),
                    group.keys_of(keys),
                    group.keys_of(values),
                    group.rows_of(out),
                    group.rows_of(lse),
                    0.0,
                    part.is_causal,
                    attn_mask=mask,
                    scale=ctx.scale,
                )
                if part.merges:
                    group.rows_of(grad_query).add_(share[0])
                else:
                    group.store_rows(grad_query, share[0])
                group.add_keys(grad_keys, share[1])
                group.add_keys(grad_values, share[2])
        return grad_query, grad_keys, grad_values, None, None


def _empty_output(query: Tensor) -> Tensor:
    """Room for (B, H, T, D): one sequence's lies as the projection behind it wants it."""
    batch, heads, length, width = query.shape
    if batch > 1:
        return query.new_empty(query.shape)
    return query.new_empty(batch, length, heads, width).transpose(1, 2)


def _blind_rows(mask: Tensor) -> Tensor | None:
    """Rows of a mask (C, S) that see nothing, (C,), if there are any."""
    blind = (mask == -math.inf).all(-1)
    return blind if bool(blind.any()) else None


def _merge_rows(out: Tensor, lse: Tensor, new: Tensor, new_lse: Tensor) -> None:
    """Merge a part's output and log-sum-exp into views of the rows so far."""
    weight = torch.sigmoid(new_lse - lse)  # (M, B * H, C)
    out.lerp_(new, weight.unsqueeze(-1).to(out.dtype))
    lse.copy_(torch.logaddexp(lse, new_lse))


def parts_by_copies(
    query: Tensor, keys: Tensor, values: Tensor, parts: Sequence[AnyPart], scale: float
) -> Tensor:
    """The same on any device: keys copied out per part, gradients by autograd."""
    alone = not any(part.merges for part in parts)
    attend = _chunks_alone if alone else _chunks_with_lse
    out = torch.zeros_like(query)
    lse = query.new_full(query.shape[:3], NOTHING_SEEN)  # (B, H, T)
    for part in parts:
        at, key_at = part.row_positions(query.device), part.key_positions(query.device)
        rows = _copied(query, at)  # (B * M, H, C, D)
        new, new_lse = attend(rows, _copied(keys, key_at), _copied(values, key_at), part, scale)
        new, new_lse = (
            x.unflatten(0, (-1, at.shape[0])).transpose(1, 2).flatten(2, 3) for x in (new, new_lse)
        )  # (B, H, M * C, D) and (B, H, M * C)
        flat = at.flatten()
        if part.merges:
            old, old_lse = out.index_select(2, flat), lse.index_select(2, flat)
            new = old.lerp(new, torch.sigmoid(new_lse - old_lse).unsqueeze(-1))
            new_lse = torch.logaddexp(old_lse, new_lse)
        out = out.index_copy(2, flat, new)
        lse = lse if alone else lse.index_copy(2, flat, new_lse)
    return out


def _copied(tensor: Tensor, at: Tensor) -> Tensor:
    """Positions (M, C) of a (B, H, T, D), chunks beside the batch: (B * M, H, C, D)."""
    chosen = tensor.index_select(2, at.flatten()).unflatten(2, tuple(at.shape))
    return chosen.transpose(1, 2).flatten(0, 1)


def _chunks_alone(
    rows: Tensor, keys: Tensor, values: Tensor, part: AnyPart, scale: float
) -> tuple[Tensor, Tensor]:
    """Where nothing is merged, whatever fused kernel the device has; the second says nothing."""
    out = F.scaled_dot_product_attention(
        rows,
        keys,
        values,
        attn_mask=part.mask(rows),
        is_causal=part.is_causal,
        scale=scale,
        enable_gqa=True,
    )
    return out, out[..., 0]


def _chunks_with_lse(
    rows: Tensor, keys: Tensor, values: Tensor, part: AnyPart, scale: float
) -> tuple[Tensor, Tensor]:
    """Output (B * M, H, C, D) and log-sum-exp (B * M, H, C) by plain products."""
    groups = keys.shape[1]
    grouped = rows.unflatten(1, (groups, -1))  # (B * M, G, H / G, C, D)
    scores = grouped @ keys.unsqueeze(2).transpose(-1, -2) * scale  # (B * M, G, H / G, C, S)
    mask = part.mask(rows)
    if part.is_causal:
        mask = torch.full(scores.shape[-2:], -math.inf, device=rows.device).triu(1)
    if mask is not None:
        scores = scores + mask.clamp_min(NOTHING_SEEN).to(scores.dtype)
    lse = scores.logsumexp(-1, keepdim=True)
    out = (scores - lse).exp() @ values.unsqueeze(2)
    return out.flatten(1, 2), lse.squeeze(-1).flatten(1, 2)

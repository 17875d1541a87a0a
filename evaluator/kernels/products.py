"""Plain products: parts of many chunks, a head at a time, faster than the CPU's fused kernel.

That kernel multiplies 32 rows at a time where a chunk has fewer than 192. A batched product takes
all rows of a chunk, and all chunks of a head in groups whose scores stay in a core's cache. Only
columns that are hidden from some row get a mask. The backward pass computes the softmax again, so
nothing is kept; it needs no log-sum-exp, hence rows must not be another part's as well.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension, M chunks of a group, C rows
and S keys of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeGuard

import torch
from torch import Tensor

from evaluator.kernels.parts import Head, Part
from evaluator.kernels.passes import passes

# Scores of a group: so many stay in a core's cache.
SCORES_BYTES = 1 << 20

# Logarithm of the largest sum of exponentials, and of one over the smallest, that is exact without
# taking off the largest score first: the smallest number is e^-87, and values have to fit too.
LARGEST_SUM = 60.0

# A head with fewer scores than this goes to the fused kernel, which takes all heads in one call.
LEAST_SCORES = 1 << 17


def multiplies_faster(part: object, query: Tensor) -> TypeGuard[Part]:
    """Whether a part that has its rows for itself is better off here."""
    if (
        not isinstance(part, Part)
        or part.merges
        or query.dtype not in (torch.float32, torch.float64)
    ):
        return False
    scores = part.rows.chunks * part.rows.size * part.keys.size
    return torch.backends.mkl.is_available() and scores >= LEAST_SCORES


def attend_by_products(
    part: Part,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    out: Tensor,
    lse: Tensor,
    scale: float,
) -> bool:
    """Write a part's rows of `out` (B, H, T, D) and `lse` (B, H, T), unless scores are too large.

    Then what is written is of no use.
    """
    exponentials, most = _Exponentials(part, query, scale), _chunks_of_group(part, query)
    room = query.new_empty(most, part.rows.size, part.keys.size)  # (M, C, S)
    new = query.new_empty(most, part.rows.size, out.shape[-1])  # (M, C, D)
    for own, shared in _heads(query, keys):
        for group in _groups(part, most):
            chunks = group.rows.chunks
            weights = exponentials(
                group.rows.view_head(query, own), group.keys.view_head(keys, shared), room[:chunks]
            )
            total = weights.sum(-1, keepdim=True)  # (M, C, 1)
            torch.bmm(weights, group.keys.view_head(values, shared), out=new[:chunks])
            torch.div(new[:chunks], total, out=group.rows.view_head(out, own))
            group.rows.view_head(lse, own).copy_(total.log_().squeeze(-1))
    smallest, largest = part.rows.view(lse).aminmax()
    return bool((smallest > -LARGEST_SUM) & (largest < LARGEST_SUM))  # False if any is no number


def gradients_by_products(
    part: Part,
    inputs: tuple[Tensor, Tensor, Tensor],
    outputs: tuple[Tensor, Tensor],
    grad_out: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
    scale: float,
) -> None:
    """Write a part's rows of the queries' gradient, and add to those of keys and values."""
    query, keys, values = inputs
    out, lse = outputs
    exponentials, most = _Exponentials(part, query, scale), _chunks_of_group(part, query)
    room = query.new_empty(2, most, part.rows.size, part.keys.size)  # (2, M, C, S)
    row_room = query.new_empty(most, part.rows.size, query.shape[-1])  # (M, C, D)
    key_room = query.new_empty(most, part.keys.size, query.shape[-1])  # (M, S, D)
    for own, shared in _heads(query, keys):
        for group in _groups(part, most):
            chunks = group.rows.chunks
            of_rows, of_keys = row_room[:chunks], key_room[:chunks]
            rows, seen = group.rows.view_head(query, own), group.keys.view_head(keys, shared)
            total = group.rows.view_head(lse, own).neg().exp_().unsqueeze(-1)  # (M, C, 1)
            grad = group.rows.view_head(grad_out, own) * total
            weights = exponentials(rows, seen, room[0, :chunks])
            torch.bmm(weights.mT, grad, out=of_keys)
            group.keys.add_to(_head(grads[2], shared), of_keys.unsqueeze(1))
            change = room[1, :chunks]
            torch.bmm(grad, group.keys.view_head(values, shared).mT, out=change)
            mean = (grad * group.rows.view_head(out, own)).sum(-1, keepdim=True)  # (M, C, 1)
            change.sub_(mean).mul_(weights)
            torch.baddbmm(of_keys, change.mT, rows, beta=0, alpha=scale, out=of_keys)
            group.keys.add_to(_head(grads[1], shared), of_keys.unsqueeze(1))
            torch.baddbmm(of_rows, change, seen, beta=0, alpha=scale, out=of_rows)
            group.rows.view_head(grads[0], own).copy_(of_rows)


class _Exponentials:
    """Exponentials of a part's scores, zero where keys are hidden: those lie at both ends."""

    def __init__(self, part: Part, like: Tensor, scale: float) -> None:
        self.scale = scale
        self.edges: list[tuple[slice, Tensor]] = []
        size = part.keys.size
        if part.is_causal:
            shown = torch.ones(part.rows.size, size, dtype=like.dtype, device=like.device).tril_()
        elif (mask := part.mask(like)) is not None:
            shown = mask.exp()
        else:
            return
        for_all = shown.all(0).nonzero()[:, 0].tolist()
        first, last = (for_all[0], for_all[-1] + 1) if for_all else (size, size)
        if len(for_all) != last - first:
            first, last = size, size
        for end in (slice(0, first), slice(last, size)):
            if end.stop > end.start:
                self.edges.append((end, shown[:, end].contiguous()))

    def __call__(self, rows: Tensor, keys: Tensor, room: Tensor) -> Tensor:
        """Of rows (M, C, D) over keys (M, S, D), written into `room` (M, C, S)."""
        torch.baddbmm(room, rows, keys.mT, beta=0, alpha=self.scale, out=room).exp_()
        for end, shown in self.edges:
            room[:, :, end].mul_(shown)
        return room


def _chunks_of_group(part: Part, like: Tensor) -> int:
    """As many as have their scores in a core's cache."""
    most = SCORES_BYTES // (part.rows.size * part.keys.size * like.element_size())
    return min(part.rows.chunks, max(1, most))


def _groups(part: Part, chunks: int) -> Iterator[Part]:
    return part.groups(chunks * (part.rows.size + part.keys.size))


def _heads(query: Tensor, keys: Tensor) -> Iterator[tuple[Head, Head]]:
    """Every query head and the KV head that it shares."""
    heads, queries_of_one = query.shape[1], query.shape[1] // keys.shape[1]
    for at in passes(range(query.shape[0] * heads)):
        batch, head = divmod(at, heads)
        yield (batch, head), (batch, head // queries_of_one)


def _head(tensor: Tensor, at: Head) -> Tensor:
    """One head of a (B, H, T, D): (1, 1, T, D)."""
    return tensor[at[0], at[1]][None, None]

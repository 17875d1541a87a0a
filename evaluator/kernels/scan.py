"""Scan: a sequence taken piece by piece, each given the sums that all pieces before it left behind.

Only the inputs and the sums between pieces are kept for the backward pass, which computes every
piece once more, from the last to the first: what a piece needs then never leaves a core's cache.

Shapes: B batch, H query heads, G KV heads, T tokens, C tokens of a piece, Dv width of values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from evaluator.kernels.passes import passes

Tensors = tuple[Tensor, ...]
# From some tokens (B, H or G, C, ...) and the sums before them: their output (B, H, C, Dv), if
# there is one, and the sums after them.
Piece = Callable[[Tensors, Tensors], tuple[Tensor | None, Tensors]]

# Tokens of a piece. On a CPU, longer ones compute more scores and leave the cache (64 to 512 were
# compared); elsewhere many small launches would cost more than scores do.
CPU_PIECE, OTHER_PIECE = 128, 512


def scan(piece: Piece, tokens: Tensors, sums: Tensors) -> tuple[Any, Tensors]:
    """All tokens (B, H or G, T, ...) in order: the output (B, H, T, Dv) and the last sums."""
    out, *after = _Scan.apply(piece, len(tokens), *tokens, *sums)
    return out, tuple(after)


class _Scan(torch.autograd.Function):
    """Pieces, computed once more for their gradients."""

    @staticmethod
    def forward(ctx: Any, piece: Piece, count: int, *tensors: Tensor) -> tuple[Tensor | None, ...]:
        tokens, sums = tensors[:count], tensors[count:]
        size = CPU_PIECE if tokens[0].device.type == "cpu" else OTHER_PIECE
        whole, before, out, given = None, [], None, sums
        pieces = list(zip(*(x.split(size, 2) for x in tokens), strict=True))
        computed = passes(range(len(pieces))[::-1])  # the last ones, since sums pile up
        for number, some in enumerate(pieces):
            before += sums
            if number in computed:
                given = sums
                out, sums = piece(some, sums)
            else:
                out, sums = _made_again(out, sums, given)
            if out is not None:
                whole = _room_for(out, tokens[0].shape[2]) if whole is None else whole
                whole[:, :, number * size : (number + 1) * size] = out
        ctx.save_for_backward(*tokens, *before)
        ctx.piece, ctx.count, ctx.size = piece, count, size
        return whole, *sums

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_out: Tensor | None, *grad_sums: Tensor
    ) -> tuple[Tensor | None, ...]:
        tokens, before = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        grads = [torch.empty_like(x) for x in tokens]
        for number in passes(range(len(before) // len(grad_sums))[::-1]):
            at = slice(number * ctx.size, (number + 1) * ctx.size)
            sums = before[number * len(grad_sums) : (number + 1) * len(grad_sums)]
            leaves = [x.detach().requires_grad_() for x in (*(x[:, :, at] for x in tokens), *sums)]
            with torch.enable_grad():
                out, after = ctx.piece(tuple(leaves[: ctx.count]), tuple(leaves[ctx.count :]))
            made, given = list(after), list(grad_sums)
            if out is not None and grad_out is not None:
                made, given = [out, *made], [grad_out[:, :, at], *given]
            shares = torch.autograd.grad(made, leaves, given)
            for grad, share in zip(grads, shares[: ctx.count], strict=True):
                grad[:, :, at] = share
            grad_sums = shares[ctx.count :]
        return None, None, *grads, *grad_sums


def _made_again(out: Tensor | None, sums: Tensors, given: Tensors) -> tuple[Tensor | None, Tensors]:
    """Room for what another piece makes: an output, and such sums as differ from those `given`."""
    after = (x if x is old else torch.empty_like(x) for x, old in zip(sums, given, strict=True))
    return None if out is None else torch.empty_like(out), tuple(after)


def _room_for(out: Tensor, length: int) -> Tensor:
    """An output (B, H, T, Dv) that lies as the next projection reads it, token by token."""
    batch, heads, _, width = out.shape
    return out.new_empty(batch, length, heads, width).transpose(1, 2)

"""Dilated-window attention: every d-th token makes a sequence of its own with a plain window.

Sequences are copied apart: a copy is linear in the tokens, and the window kernel then reads rows
that lie together. Where d does not divide the tokens, some sequences are one longer.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension, d dilation, N = T // d.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from evaluator.kernels.cache import Range
from evaluator.kernels.sliding_window import attend_sliding_window


class DilatedWindowKernel:
    """Every position sees `window` positions `dilation` apart."""

    def __init__(self, pattern: Any) -> None:
        self.window: int = pattern.window
        self.dilation: int = pattern.dilation

    def full(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, causal: bool
    ) -> Tensor:
        return attend_dilated_window(
            query, keys, values, self.window, self.dilation, scale=scale, causal=causal
        )

    def sees(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        back = query_at - key_at
        reach = self.window * self.dilation
        return (back >= 0) & (back % self.dilation == 0) & (back < reach)

    def kept(self, capacity: int) -> tuple[int, int]:
        return 0, (min(self.window, -(-capacity // self.dilation)) - 1) * self.dilation + 1

    def reads(self, position: int) -> list[Range]:
        seen = min(self.window, position // self.dilation + 1)
        return [(position - (seen - 1) * self.dilation, position + 1, self.dilation)]


def attend_dilated_window(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    window: int,
    dilation: int,
    *,
    scale: float | None = None,
    causal: bool = True,
) -> Tensor:
    """`window` positions `dilation` apart, itself included: (B, H, T, Dk) to (B, H, T, Dv)."""
    dilation = min(dilation, query.shape[2])
    longer = query.shape[2] % dilation
    out = []
    for first, stop in ((0, longer), (longer, dilation)):
        if stop > first:
            q, k, v = (_taken_apart(x, dilation, first, stop) for x in (query, keys, values))
            part = attend_sliding_window(q, k, v, window, scale=scale, causal=causal)
            out.append(part.unflatten(0, (stop - first, -1)).permute(1, 2, 3, 0, 4))
    if not longer:
        return out[0].flatten(2, 3)
    long, short = out  # (B, H, N + 1, T % d, D) and (B, H, N, d - T % d, D)
    whole = torch.cat((long[:, :, :-1], short), dim=3)  # (B, H, N, d, D)
    return torch.cat((whole.flatten(2, 3), long[:, :, -1]), dim=2)


def _taken_apart(tensor: Tensor, dilation: int, first: int, stop: int) -> Tensor:
    """Sequences `first` to `stop` of the d, beside the batch: (B, H, T, D) to (. * B, H, N, D)."""
    size, longer = divmod(tensor.shape[2], dilation)
    table = tensor[:, :, : size * dilation].unflatten(2, (size, dilation))  # (B, H, N, d, D)
    table = table[:, :, :, first:stop]
    if stop <= longer:
        table = torch.cat((table, tensor[:, :, None, size * dilation :]), dim=2)
    return table.permute(3, 0, 1, 2, 4).flatten(0, 1).contiguous()

"""Dispatch: which kernels train on CUDA, one row per pattern, with the reason beside it.

Latency is measured with the plain PyTorch kernels that the exported file carries; these may train,
and never stand in for them. So they are off unless `use_compiled_kernels` is on, and nothing that
is exported imports this module.

Shapes: B batch, H query heads, G KV heads, T tokens, S keys, D head dimension, b tokens of a block,
M blocks, d dilation, N = T // d.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.kernels import KERNELS
from evaluator.kernels.dense import attend_dense
from evaluator.kernels.flex import attend_flex
from evaluator.kernels.mixer import TokenMixer
from evaluator.kernels.sliding_window import SlidingWindowKernel

How = Literal["sdpa", "blocks", "combs", "flex", "own"]


class Route(NamedTuple):
    """How a pattern's whole sequences are attended, and why so."""

    how: How
    why: str


CUDA: dict[str, Route] = {
    "dense": Route("sdpa", "fused; flash in half precision, memory-efficient in float32"),
    "sliding-window": Route("flex", "skips blocks in any precision; varlen flash is half only"),
    "dilated-window": Route("combs", "every d-th token makes a plain window, which skips blocks"),
    "block-local": Route("blocks", "blocks are a batch of short dense sequences: no mask at all"),
    "strided": Route("flex", "a column in every block, so as much work as dense; one exact kernel"),
    "sink-window": Route("flex", "one more block of keys per row, and nothing to merge"),
    "global-window": Route("flex", "a few rows and columns of blocks, and nothing to merge"),
    "big-bird": Route("flex", "what it sees is whole blocks; nothing is gathered"),
    "hierarchical": Route("own", "means are further keys, merged with the window by copies"),
    "linear": Route("own", "a scan: products of 512 that cuBLAS does well"),
    "gated-linear": Route("own", "the same with decay"),
    "low-rank": Route("own", "dense over few slots: SDPA as it is"),
    # Scores that are no plain product have one row, whatever the pattern.
    "alibi": Route("flex", "a penalty by distance is a line inside the kernel"),
    "additive": Route("own", "v.tanh(q + k) is no product; rows in chunks, computed twice"),
}
PLAIN = Route("own", "the plain PyTorch kernels that the export carries")

FLASH = (torch.float16, torch.bfloat16)
NAMES = {kernel: name for name, kernel in KERNELS.items()}


def route(name: str, device_type: str, *, training_kernels: bool) -> Route:
    """The row for a pattern, or for a score; plain kernels wherever they are not asked for."""
    return CUDA[name] if device_type == "cuda" and training_kernels else PLAIN


@contextmanager
def use_compiled_kernels(enabled: bool = True) -> Iterator[None]:
    """All mixers' whole sequences on CUDA by the table, until the end of the block."""
    before = TokenMixer.faster
    TokenMixer.faster = attend_by_table if enabled else None
    try:
        yield
    finally:
        TokenMixer.faster = before


def attend_by_table(
    mixer: TokenMixer, query: Tensor, keys: Tensor, values: Tensor
) -> Tensor | None:
    """(B, H, T, Dk) over (B, G, S, Dk and Dv) to (B, H, T, Dv); None leaves it to the mixer."""
    if query.dtype == torch.float64:  # no fused kernel takes doubles
        return None
    attend = ATTEND[route(row_of(mixer), query.device.type, training_kernels=True).how]
    return attend(mixer, query, keys, values) if attend else None


def row_of(mixer: TokenMixer) -> str:
    """The table's row for a mixer: its score's, or else its pattern's."""
    if mixer.direction is not None:
        return "additive"
    return "alibi" if mixer.slopes is not None else NAMES[type(mixer.kernel)]


def attend_sdpa(mixer: Any, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Dense, never over a matrix of all pairs.

    Flash shares KV heads. The memory-efficient kernel, which takes float32, does not; asked to,
    SDPA falls back to plain products (aten/native/transformers/cuda/sdp_utils.cpp): hence copies.
    """
    if query.dtype not in FLASH:
        share = query.shape[1] // keys.shape[1]
        keys, values = (x.repeat_interleave(share, 1) for x in (keys, values))
    return attend_dense(query, keys, values, scale=mixer.scale, causal=mixer.causal)


def attend_blocks(mixer: Any, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Blocks beside each other in the batch, and a last one that is not full."""
    length, block = query.shape[2], mixer.kernel.block
    whole = length - length % block

    def apart(x: Tensor) -> Tensor:  # (B, H, T, D) to (M * B, H, b, D)
        return x[:, :, :whole].unflatten(2, (-1, block)).movedim(2, 0).flatten(0, 1)

    parts = []
    if whole:
        out = attend_sdpa(mixer, apart(query), apart(keys), apart(values))
        parts.append(out.unflatten(0, (-1, query.shape[0])).movedim(0, 2).flatten(2, 3))
    if whole < length:
        rest = [x[:, :, whole:] for x in (query, keys, values)]
        parts.append(attend_sdpa(mixer, *rest))
    return torch.cat(parts, dim=2)


def attend_combs(mixer: Any, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Every d-th token as a sequence of its own; T % d of them are one longer than the others."""
    length = query.shape[2]
    dilation = min(mixer.kernel.dilation, length)
    size, longer = divmod(length, dilation)
    window = SlidingWindowKernel(SimpleNamespace(window=mixer.kernel.window))
    inputs = (query, keys, values)
    if longer:
        inputs = tuple(F.pad(x, (0, 0, 0, dilation - longer)) for x in inputs)
    tables = [x.unflatten(2, (-1, dilation)) for x in inputs]  # (B, H, N or N + 1, d, D)
    pieces = []
    for first, stop, count in ((0, longer, size + 1), (longer, dilation, size)):
        if first < stop:
            apart = [
                x[:, :, :count, first:stop].movedim(3, 0).flatten(0, 1).contiguous() for x in tables
            ]  # (. * B, H, count, D)
            out = attend_flex(
                apart[0], apart[1], apart[2], window, causal=mixer.causal, scale=mixer.scale
            )
            out = out.unflatten(0, (stop - first, -1)).movedim(0, 3)  # (B, H, count, ., D)
            missing = tables[0].shape[2] - count
            pieces.append(F.pad(out, (0, 0, 0, 0, 0, missing)) if missing else out)
    return torch.cat(pieces, dim=3).flatten(2, 3)[:, :, :length]


def attend_blockwise(mixer: Any, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Any token pattern over its block mask."""
    return attend_flex(
        query,
        keys,
        values,
        mixer.kernel,
        causal=mixer.causal,
        scale=mixer.scale,
        slopes=mixer.slopes,
    )


ATTEND: dict[How, Callable[[Any, Tensor, Tensor, Tensor], Tensor] | None] = {
    "sdpa": attend_sdpa,
    "blocks": attend_blocks,
    "combs": attend_combs,
    "flex": attend_blockwise,
    "own": None,
}

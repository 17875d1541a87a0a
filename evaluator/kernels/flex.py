"""FlexAttention over block masks, for whole sequences on CUDA while training.

Which blocks of 128 rows see which blocks of 128 keys follows from a pattern's numbers, so no matrix
of all pairs is made. The mask within a block is the pattern's own formula, its numbers in tensors:
kernels are compiled per formula and shape, not per window.

Shapes: B batch, H query heads, G KV heads, T tokens, N blocks of 128 tokens, Dk and Dv widths of
keys and values, P of a pattern's own blocks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from evaluator.kernels.big_bird import BigBirdKernel, visible_blocks
from evaluator.kernels.block_local import BlockLocalKernel
from evaluator.kernels.dense import DenseKernel
from evaluator.kernels.dilated_window import DilatedWindowKernel
from evaluator.kernels.global_window import GlobalWindowKernel
from evaluator.kernels.mixer import Kernel
from evaluator.kernels.sink_window import SinkWindowKernel
from evaluator.kernels.sliding_window import SlidingWindowKernel
from evaluator.kernels.strided import StridedKernel

# What FlexAttention's own create_block_mask uses, and its Triton kernels are tuned for.
BLOCK = 128

# Triton's products are at least this wide (torch/_inductor/kernel/flex/flex_attention.py).
LEAST_WIDTH = 16

# Kernels that one process may compile: formulas times shapes, with gradients and without. The usual
# limit of 8 is for one model; past this one, fullgraph=True makes an error of it.
MOST_KERNELS = 1024

# Kernels that see key j from i if j is among the first few, or for i - j alone.
BY_DISTANCE = (
    DenseKernel,
    SlidingWindowKernel,
    DilatedWindowKernel,
    StridedKernel,
    SinkWindowKernel,
    GlobalWindowKernel,
)


def attend_flex(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    kernel: Kernel,
    *,
    causal: bool,
    scale: float | None,
    slopes: Tensor | None = None,
) -> Tensor:
    """A whole sequence in a token pattern: (B, H, T, Dk) over (B, G, T, ...) to (B, H, T, Dv).

    `slopes` (H,) times distance come off the scores (ALiBi).
    """
    assert query.shape[2] == keys.shape[2], "block masks are of one sequence"
    mask = block_mask(kernel, query.shape[2], causal=causal, device=query.device)
    used_scale = keys.shape[-1] ** -0.5 if scale is None else scale
    wide = [_wide_enough(x) for x in (query, keys, values)]
    with torch._dynamo.config.patch(
        recompile_limit=MOST_KERNELS,
        accumulated_recompile_limit=MOST_KERNELS,
    ):
        out = compiled()(wide[0], wide[1], wide[2], mask, slopes, used_scale)
    return out[..., : values.shape[-1]]


def _wide_enough(x: Tensor) -> Tensor:
    """Zeros change no score, and give channels of zeros that are cut off again."""
    missing = LEAST_WIDTH - x.shape[-1]
    return F.pad(x, (0, missing)) if missing > 0 else x


@cache
def compiled() -> Callable[..., Tensor]:
    """One callable per process. Its two silent ways to dense eager attention are errors.

    Shapes are static: a task has few, kernels are best then, and kernels for symbolic lengths have
    broken often (pytorch#133716, #134560; one on CPU here). What differs between designs of a shape
    is in tensors.
    """
    return torch.compile(attention, fullgraph=True, dynamic=False)


def attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: BlockMask,
    slopes: Tensor | None,
    scale: float,
) -> Tensor:
    """What is compiled."""
    return flex_attention(  # pyright: ignore[reportReturnType]
        query,
        keys,
        values,
        score_mod=None if slopes is None else less_by_distance(slopes),
        block_mask=mask,
        scale=scale,
        enable_gqa=True,
        kernel_options={"FORCE_USE_FLEX_ATTENTION": True},  # short ones too: one kernel to test
    )


def less_by_distance(slopes: Tensor) -> Callable[..., Tensor]:
    """ALiBi: slope times distance comes off."""

    def penalised(score: Tensor, batch: Tensor, head: Tensor, at: Tensor, key_at: Tensor) -> Tensor:
        return score - slopes[head] * (at - key_at).abs()

    return penalised


def block_mask(kernel: Kernel, length: int, *, causal: bool, device: torch.device) -> BlockMask:
    """The pattern of a sequence of `length`, made once."""
    numbers = tuple(sorted(vars(kernel).items()))
    return _block_mask(type(kernel), numbers, length, causal, device)


@lru_cache(maxsize=64)
def _block_mask(
    kind: type[Any], numbers: tuple[Any, ...], length: int, causal: bool, device: torch.device
) -> BlockMask:
    """By value: two layers with the same pattern share it."""
    kernel = object.__new__(kind)
    vars(kernel).update(numbers)
    with torch.inference_mode(False):  # training uses what measuring made
        some, whole = block_pairs(kernel, length, causal)
        partly, wholly = _indices(some & ~whole, device), _indices(whole, device)
        return BlockMask.from_kv_blocks(
            *partly,
            *wholly,
            BLOCK_SIZE=BLOCK,
            mask_mod=mask_formula(kernel, length, causal=causal, device=device),
            seq_lengths=(length, length),
        )


def _indices(chosen: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """How many blocks each row has, (1, 1, N), and which, first, (1, 1, N, N)."""
    order = chosen.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    counts = chosen.sum(1, dtype=torch.int32)
    return counts[None, None].to(device), order.to(torch.int32)[None, None].to(device)


def block_pairs(kernel: Kernel, length: int, causal: bool) -> tuple[Tensor, Tensor]:
    """Whether blocks of rows see something, and all, of blocks of keys: (N, N) each.

    A block that the sequence does not fill never counts as seen whole: its rest has to be masked.
    """
    starts = torch.arange(0, length, BLOCK)
    ends = (starts + BLOCK - 1).clamp(max=length - 1)
    if isinstance(kernel, BY_DISTANCE):
        some, whole = _pairs_by_distance(kernel, starts, ends)
    elif isinstance(kernel, BlockLocalKernel):
        first, last = starts // kernel.block, ends // kernel.block
        some = (first[:, None] <= last) & (first <= last[:, None])
        whole = (first[:, None] == last) & (first == last[:, None])
    elif isinstance(kernel, BigBirdKernel):
        some, whole = _pairs_by_table(kernel, starts, ends)
    else:
        raise ValueError(f"{type(kernel).__name__} has no block mask; give it one in {__name__}")
    full = ends - starts == BLOCK - 1
    whole = whole & full & full[:, None]
    return (some.tril(), whole.tril(-1)) if causal else (some, whole)


def _pairs_by_distance(kernel: Kernel, starts: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """From how many of the distances between two blocks are seen; keys before `first` always are.

    Both ways: of two blocks, one is the later.
    """
    length = int(ends[-1]) + 1
    first, _ = kernel.kept(length)
    at = torch.arange(length)
    seen = F.pad(kernel.sees(first + at, torch.tensor(first)).cumsum(0), (1, 0))  # (T + 1,)
    late_start, late_end = (torch.maximum(x[:, None], x[None, :]) for x in (starts, ends))
    key_start, key_end = (torch.minimum(x[:, None], x[None, :]) for x in (starts, ends))
    least = (late_start - key_end).clamp(min=0)
    beyond = (late_end - key_start.clamp(min=first) + 1).clamp(min=0)  # one more than the largest
    only_first = key_end < first
    found = seen[beyond] - seen[torch.minimum(least, beyond)]
    return found.gt(0) | (key_start < first), found.eq(beyond - least) | only_first


def _pairs_by_table(kernel: BigBirdKernel, starts: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """From sums over rectangles of the table of the pattern's own blocks: (P + 1, P + 1)."""
    table = _table(kernel, int(ends[-1]) + 1)
    both = table | table.T
    sums = F.pad(both.cumsum(0, dtype=torch.int32).cumsum(1, dtype=torch.int32), (1, 0, 1, 0))
    first, beyond = starts // kernel.block, ends // kernel.block + 1
    seen = (
        sums[beyond[:, None], beyond]
        - sums[first[:, None], beyond]
        - sums[beyond[:, None], first]
        + sums[first[:, None], first]
    )
    sizes = beyond - first
    return seen > 0, seen == sizes[:, None] * sizes


def _table(kernel: BigBirdKernel, length: int) -> Tensor:
    """Which of the pattern's blocks see which earlier ones: (P, P)."""
    blocks = -(-length // kernel.block)
    return visible_blocks(torch.arange(blocks), blocks, *kernel.choice)


def mask_formula(
    kernel: Kernel, length: int, *, causal: bool, device: torch.device
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The kernel's formula as FlexAttention asks it, with its numbers in tensors on the device."""
    if isinstance(kernel, BigBirdKernel):
        formula: Any = _BigBirdInTensors(kernel, length, device)
    else:
        formula = copy.copy(kernel)
        for name, number in vars(kernel).items():
            setattr(formula, name, _number(number, device))

    def earlier(batch: Tensor, head: Tensor, at: Tensor, key_at: Tensor) -> Tensor:
        return formula.sees(at, key_at)

    def both_ways(batch: Tensor, head: Tensor, at: Tensor, key_at: Tensor) -> Tensor:
        return formula.sees(torch.maximum(at, key_at), torch.minimum(at, key_at))

    return earlier if causal else both_ways


class _BigBirdInTensors:
    """BigBird's formula over a table of its blocks, P * P bytes."""

    def __init__(self, kernel: BigBirdKernel, length: int, device: torch.device) -> None:
        whole = -(-length // BLOCK) * BLOCK  # a last block's rest is asked for too
        self.block = _number(kernel.block, device)
        self.table = _table(kernel, whole).to(device)

    def sees(self, query_at: Tensor, key_at: Tensor) -> Tensor:
        return (key_at <= query_at) & self.table[query_at // self.block, key_at // self.block]


def _number(number: int, device: torch.device) -> Tensor:
    return torch.tensor(number, dtype=torch.int32, device=device)

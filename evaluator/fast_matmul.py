"""Fast float32 products on CPU: oneDNN's path, where it proves to be as exact as float32.

`torch.backends.mkldnn.matmul.fp32_precision = "bf16"` sends float32 linears and SDPA's products to
oneDNN. Some CPUs then still compute in float32, twice as fast; those with AMX multiply in bfloat16,
with errors of 2e-3. So it is tried before it is used.

Products of few rows get slower and some of those are exact even where others are not: decode is not
to be run inside, and the probe has more rows than that. Not for several threads at a time: the
setting is the process's.

Shapes: M rows, K channels in, N channels out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

PATH = "bf16"  # what torch calls it

# Float32 itself has 5e-7 at these sizes, TF32 3e-4, bfloat16 2e-3 (measured by `probe`).
LARGEST_ERROR = 1e-5

# (M, K, N) of small models' projections and MLPs, in short and long batches.
PRODUCTS = ((16, 128, 512), (64, 64, 64), (256, 128, 384), (256, 512, 128), (1024, 64, 256))
ATTENDED = (2, 4, 128, 32)  # (B, H, T, D)

Product = Callable[[Tensor, Tensor], Tensor]  # (M, K) and (N, K) to (M, N)


@dataclass(frozen=True, slots=True)
class FastFp32:
    """Whether the path is there, the largest error it was seen to make, whether it is on."""

    supported: bool
    error: float
    used: bool

    def describe(self) -> str:
        """To be recorded with every measurement."""
        if not self.supported:
            return "no onednn-bf16-path"
        error = f"error {self.error:.0e}".replace("e-0", "e-")
        if self.used:
            return f"onednn-bf16-path {error}"
        state = "off" if self.error <= LARGEST_ERROR else "refused"
        return f"onednn-bf16-path {state}, {error}"


@contextmanager
def fast_fp32(enabled: bool = True) -> Iterator[FastFp32]:
    """Float32 products the fast way until the end of the block, if the probe allows it."""
    found = probe()
    used = enabled and found.supported and found.error <= LARGEST_ERROR
    with _precision(PATH if used else None):
        yield FastFp32(found.supported, found.error, used)


@cache
def probe() -> FastFp32:
    """What the path does on this CPU; a few milliseconds, once per process."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.backends.mkldnn, "matmul")):
        return FastFp32(False, 0.0, False)
    with _precision(PATH):
        return FastFp32(True, max(largest_error(F.linear), _attention_error()), False)


def largest_error(product: Product) -> float:
    """Over typical shapes, relative to the largest true number of each."""
    generator = torch.Generator().manual_seed(0)
    errors = []
    for rows, width, out in PRODUCTS:
        x = torch.randn(rows, width, generator=generator)
        weight = torch.randn(out, width, generator=generator)
        errors.append(_relative(product(x, weight), F.linear(x.double(), weight.double())))
    return max(errors)


def _attention_error() -> float:
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(ATTENDED, generator=generator) for _ in range(3)]
    attend = F.scaled_dot_product_attention
    doubles = [x.double() for x in inputs]
    got = attend(inputs[0], inputs[1], inputs[2], is_causal=True)
    return _relative(got, attend(doubles[0], doubles[1], doubles[2], is_causal=True))


def _relative(got: Tensor, true: Tensor) -> float:
    return float((got.double() - true).abs().max() / true.abs().max())


@contextmanager
def _precision(name: str | None) -> Iterator[None]:
    """The setting, put back afterwards; None leaves it alone."""
    if name is None:
        yield
        return
    matmul: Any = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue]
    before = matmul.fp32_precision
    matmul.fp32_precision = name
    try:
        yield
    finally:
        matmul.fp32_precision = before

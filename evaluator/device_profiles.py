"""Device profiles: what a device can do at best, so that latencies may be predicted without it.

Peaks are the makers' for dense products (not "with sparsity") in the number type of the profile.
Rates of exponentials follow from the makers' figures too: a multiprocessor's special function units
give 16 a clock (CUDA C++ Programming Guide, "Arithmetic Instructions"), times multiprocessors and
boost clock. Of an H100 that makes 3.9e12 a second, as in FlashAttention-3 (Shah et al. 2024,
arXiv:2407.08608).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# Fused attention over all keys; one part of chunks; two parts that are merged; a state without and
# with decay; scores that are no plain product.
KernelFamily = Literal["dense", "chunked", "merged", "linear", "gated-linear", "scored"]


@dataclass(frozen=True, slots=True)
class Kernel:
    """How a family of attention kernels does on a device."""

    spare: int  # keys per query that are computed and thrown away
    share: float = 1.0  # of the speed that products and exponentials alone would allow


# A tile of 128 x 128 on the diagonal is half hidden (FlashAttention-2, Dao 2023, arXiv:2307.08691);
# a chunk of 64 rows sees 64 keys more than a row does, two parts twice that (kernels/parts.py);
# pieces of 512 (kernels/scan.py). Whether all of them run at the peak, nobody has measured.
GPU_KERNELS: Mapping[KernelFamily, Kernel] = {
    "dense": Kernel(64),
    "chunked": Kernel(64),
    "merged": Kernel(128),
    "linear": Kernel(512),
    "gated-linear": Kernel(512),
    "scored": Kernel(64),
}

# Assumed of every GPU: what launching a kernel from PyTorch takes, one after the other.
LAUNCH_S = 4e-6


@dataclass(frozen=True, slots=True)
class Level:
    """A cache: working sets up to so many bytes are read this fast."""

    capacity: float  # bytes
    bandwidth: float  # bytes/s


@dataclass(frozen=True, slots=True)
class Profile:
    """Peaks of one device, from its maker's data sheet or measured here."""

    name: str
    flops: float  # FLOP/s of dense products in the type that is predicted
    bandwidth: float  # bytes/s of its main memory
    overhead_s: float  # of starting one operation
    bytes_per_element: int
    source: str
    exponentials: float  # a second, of attention's softmax
    caches: tuple[Level, ...] = ()  # smallest first; without any, all comes from main memory
    kernels: Mapping[KernelFamily, Kernel] = field(default_factory=lambda: GPU_KERNELS)

    def read_rate(self, working_set: float) -> float:
        """Bytes/s at which a working set (bytes) is read that is gone through again and again."""
        fits = (level.bandwidth for level in self.caches if working_set <= level.capacity)
        return next(fits, self.bandwidth)


def _gpu(
    name: str, teraflops: float, gigabytes: float, special: tuple[int, float], source: str
) -> Profile:
    """A GPU in 16-bit numbers; `special` are its multiprocessors and boost clock in GHz."""
    exponentials = 16 * special[0] * special[1] * 1e9
    return Profile(
        name, teraflops * 1e12, gigabytes * 1e9, LAUNCH_S, 2, source, exponentials=exponentials
    )


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        _gpu(
            "h100-sxm",
            989.4,
            3350,
            (132, 1.83),
            "NVIDIA H100 data sheet, SXM5: bfloat16, 3.35 TB/s",
        ),
        _gpu("h200", 989.4, 4800, (132, 1.83), "NVIDIA H200 data sheet, SXM: bfloat16, 4.8 TB/s"),
        _gpu(
            "a100-80gb",
            312,
            2039,
            (108, 1.41),
            "NVIDIA A100 data sheet, 80 GB SXM: bfloat16, 2039 GB/s",
        ),
        _gpu("l40s", 362.05, 864, (142, 2.52), "NVIDIA L40S data sheet: bfloat16, 864 GB/s"),
        _gpu("l4", 121, 300, (58, 2.04), "NVIDIA L4 data sheet: bfloat16, 300 GB/s"),
        _gpu(
            "rtx-4090",
            165.2,
            1008,
            (128, 2.52),
            "NVIDIA Ada architecture whitepaper: float16 with float32 sums, 1008 GB/s",
        ),
        _gpu("t4", 65, 320, (40, 1.59), "NVIDIA T4 data sheet: float16, 320 GB/s"),
    )
}

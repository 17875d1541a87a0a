"""Kernels by the pattern's name: of those that attend to tokens, the rest are mixers whole."""

from __future__ import annotations

from typing import Any

from evaluator.kernels.big_bird import BigBirdKernel
from evaluator.kernels.block_local import BlockLocalKernel
from evaluator.kernels.cache import TokenCache
from evaluator.kernels.dense import DenseKernel
from evaluator.kernels.dilated_window import DilatedWindowKernel
from evaluator.kernels.gated_linear import GatedLinearMixer
from evaluator.kernels.global_window import GlobalWindowKernel
from evaluator.kernels.hierarchical import HierarchicalMixer
from evaluator.kernels.linear import LinearMixer
from evaluator.kernels.low_rank import LowRankMixer
from evaluator.kernels.mixer import HeadShape, Kernel, Seen, TokenMixer
from evaluator.kernels.sink_window import SinkWindowKernel
from evaluator.kernels.sliding_window import SlidingWindowKernel
from evaluator.kernels.state_cache import StateCache
from evaluator.kernels.strided import StridedKernel

KERNELS: dict[str, Any] = {
    "dense": DenseKernel,  # SDPA: fused and causal on every device
    "sliding-window": SlidingWindowKernel,  # chunks over spans of keys
    "dilated-window": DilatedWindowKernel,  # a window on each of the interleaved sequences
    "block-local": BlockLocalKernel,  # blocks side by side in the batch
    "strided": StridedKernel,  # a window merged with columns
    "sink-window": SinkWindowKernel,  # a window merged with the first keys
    "global-window": GlobalWindowKernel,  # a window, some rows and some columns
    "big-bird": BigBirdKernel,  # blocks gathered by index
    "hierarchical": HierarchicalMixer,  # a window merged with block means
    "linear": LinearMixer,  # a chunked scan over a state
    "gated-linear": GatedLinearMixer,  # the same with decay
    "low-rank": LowRankMixer,  # dense over learned slots
}


__all__ = ["KERNELS", "HeadShape", "Kernel", "Seen", "StateCache", "TokenCache", "TokenMixer"]

"""Gated linear: a sum of key-value products that decays by a learned, input-dependent factor.

Mamba-2's scalar decay (Dao and Gu 2024, arXiv:2405.21060) as attention, with the gate's
temperature of GLA (Yang et al. 2023, arXiv:2312.06635); RetNet (Sun et al. 2023,
arXiv:2307.08621) is the same with a fixed decay. Per KV head and token, a = sigmoid(x.w + b) ** (1
/ 16), S <- a S + k v^T, output S^T q / sqrt(D), each head's output normalised to unit mean square.

Causal only: a decay has a direction. Information flows over the dense pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.patterns.interface import Kind, StatePattern


@dataclass(frozen=True, slots=True)
class GatedLinear(StatePattern):
    """Linear attention with decay; its state is D x D numbers per KV head."""

    name: ClassVar[str] = "gated-linear"
    kinds: ClassVar[tuple[Kind, ...]] = ("causal",)

    def cache_elements(self, context: int, dim: int, tensors: int) -> int:
        return dim * dim

    def parameters(self, width: int, kv_heads: int, context: int) -> int:
        """The decay's projection and bias."""
        return self.projections(width, kv_heads) + kv_heads

    def projections(self, width: int, kv_heads: int) -> int:
        return kv_heads * width

    def token_flops(self, heads: int, kv_heads: int, dim: int) -> int:
        """A decay counts as one FLOP per number of the state."""
        return (2 * heads + 3 * kv_heads) * dim * dim

    def describe(self) -> str:
        return "gated linear"

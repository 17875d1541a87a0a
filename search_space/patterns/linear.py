"""Linear: attention through a feature map, so that a sum of fixed size replaces the tokens.

Katharopoulos et al. 2020, arXiv:2006.16236: with phi(x) = elu(x) + 1 the output at i is
sum_j phi(q_i).phi(k_j) v_j / sum_j phi(q_i).phi(k_j), over j <= i, or over all j.

Information flows over the dense pairs; the work and the cache do not grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.patterns.interface import StatePattern


@dataclass(frozen=True, slots=True)
class Linear(StatePattern):
    """Kernelised attention with a normaliser; its state is D x D + D numbers per KV head."""

    name: ClassVar[str] = "linear"

    def cache_elements(self, context: int, dim: int, tensors: int) -> int:
        return dim * dim + dim

    def token_flops(self, heads: int, kv_heads: int, dim: int) -> int:
        return 2 * (heads + kv_heads) * (dim * dim + dim)

    def describe(self) -> str:
        return "linear"

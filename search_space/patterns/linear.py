"""Linear: attention through a feature map, so that a sum of fixed size replaces the tokens.

Katharopoulos et al. 2020, arXiv:2006.16236: with phi(x) = elu(x) + 1 the output at i is
sum_j phi(q_i).phi(k_j) v_j / sum_j phi(q_i).phi(k_j), over j <= i, or over all j.

Information flows over the dense pairs; the work and the cache do not grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.patterns.interface import Kind, Pairs, Pattern, Positions


@dataclass(frozen=True, slots=True)
class Linear(Pattern):
    """Kernelised attention with a normaliser; its state is D x D + D numbers per KV head."""

    name: ClassVar[str] = "linear"
    keeps_state: ClassVar[bool] = True
    tokens_only: ClassVar[bool] = False

    def sees(self, query: Positions, key: Positions) -> Pairs:
        return key <= query

    def attended_at(self, position: int) -> int:
        return position + 1

    def causal_pairs(self, length: int) -> int:
        return length * (length + 1) // 2

    def kept(self, context: int) -> tuple[int, int]:
        return 0, 0

    def cache_elements(self, context: int, dim: int, tensors: int) -> int:
        return dim * dim + dim

    def mixing_flops(
        self, length: int, heads: int, kv_heads: int, dim: int, per_pair: int, kind: Kind
    ) -> int:
        """One update of the state per KV head and one reading per query head for each token."""
        return length * self.decode_flops(0, heads, kv_heads, dim, per_pair)

    def decode_flops(
        self, position: int, heads: int, kv_heads: int, dim: int, per_pair: int
    ) -> int:
        return 2 * (heads + kv_heads) * (dim * dim + dim)

    def canonical(self, context: int, kind: Kind) -> Linear:
        return self

    def describe(self) -> str:
        return "linear"

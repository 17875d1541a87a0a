"""Low-rank: keys and values of the whole sequence are mixed into r slots by learned matrices.

Linformer (Wang et al. 2020, arXiv:2006.04768), the two matrices (context x r) shared by a layer's
heads. Every position attends to all r slots. Bidirectional only: a slot mixes past and future.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError
from search_space.patterns.interface import Kind, Pairs, Pattern, Positions


@dataclass(frozen=True, slots=True)
class LowRank(Pattern):
    """Attention over `rank` learned mixtures of the sequence."""

    name: ClassVar[str] = "low-rank"
    kinds: ClassVar[tuple[Kind, ...]] = ("bidirectional",)
    tokens_only: ClassVar[bool] = False

    rank: int

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise DesignError(f"the rank must be at least 1, but got {self.rank}")

    def sees(self, query: Positions, key: Positions) -> Pairs:
        """Information flows from every position, through the slots."""
        return key <= query

    def attended_at(self, position: int) -> int:
        return self.rank

    def causal_pairs(self, length: int) -> int:
        return length * self.rank

    def attended_pairs(self, length: int, kind: Kind = "causal") -> int:
        return length * self.rank

    def kept(self, context: int) -> tuple[int, int]:
        return 0, context

    def parameters(self, width: int, kv_heads: int, context: int) -> int:
        return 2 * context * self.rank

    def mixing_flops(
        self, length: int, heads: int, kv_heads: int, dim: int, per_pair: int, kind: Kind
    ) -> int:
        """Mixing keys and values into slots, then attending to the slots."""
        mixing = 2 * 2 * kv_heads * dim * length * self.rank
        return mixing + heads * per_pair * self.attended_pairs(length, kind)

    def canonical(self, context: int, kind: Kind) -> LowRank:
        return self

    def describe(self) -> str:
        return f"low-rank {self.rank}"

"""Dense: every position sees itself and all earlier ones (Vaswani et al. 2017, arXiv:1706.03762).

Visible pairs: {(i, j) : 0 <= j <= i}; in cross attention, all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.patterns.interface import KINDS, Kind, Pairs, Pattern, Positions


@dataclass(frozen=True, slots=True)
class Dense(Pattern):
    """Attention over the whole context."""

    name: ClassVar[str] = "dense"
    kinds: ClassVar[tuple[Kind, ...]] = KINDS

    def sees(self, query: Positions, key: Positions) -> Pairs:
        return key <= query

    def attended_at(self, position: int) -> int:
        return position + 1

    def causal_pairs(self, length: int) -> int:
        return length * (length + 1) // 2

    def kept(self, context: int) -> tuple[int, int]:
        return 0, context

    def canonical(self, context: int, kind: Kind) -> Dense:
        return self

    def describe(self) -> str:
        return "dense"

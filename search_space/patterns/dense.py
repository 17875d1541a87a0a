"""Dense: every position sees itself and all earlier ones (Vaswani et al. 2017, arXiv:1706.03762).

Visible pairs: {(i, j) : 0 <= j <= i}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.patterns.interface import Pairs, Positions


@dataclass(frozen=True, slots=True)
class Dense:
    """Causal attention over the whole context."""

    name: ClassVar[str] = "dense"

    def sees(self, query: Positions, key: Positions) -> Pairs:
        """Whether query position i sees key position j, elementwise."""
        return key <= query

    def attended_pairs(self, length: int) -> int:
        """Visible pairs of a sequence of `length` positions."""
        return length * (length + 1) // 2

    def cached_positions(self, context: int) -> int:
        """Positions whose keys and values decoding must keep at this context."""
        return context

    def canonical(self, context: int) -> Dense:
        """The simplest pattern with the same pairs up to `context`."""
        return self

    def describe(self) -> str:
        """For people."""
        return "dense"

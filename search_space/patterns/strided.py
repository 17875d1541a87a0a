"""Strided: every position sees the last s, and before them every s-th.

Sparse Transformer, strided (Child et al. 2019, arXiv:1904.10509), both of its halves in one head.
Visible pairs: {(i, j) : 0 <= i - j and (i - j < s or (i - j) mod s = 0)}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError
from search_space.patterns.dense import Dense
from search_space.patterns.interface import Kind, Pairs, Pattern, Positions, stepwise
from search_space.patterns.sliding_window import SlidingWindow


@dataclass(frozen=True, slots=True)
class Strided(Pattern):
    """Attention over the last `stride` positions and every `stride`-th one before them."""

    name: ClassVar[str] = "strided"

    stride: int

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise DesignError(f"a stride must be at least 1, but got {self.stride}")

    def sees(self, query: Positions, key: Positions) -> Pairs:
        back = query - key
        return (back >= 0) & ((back < self.stride) | (back % self.stride == 0))

    def attended_at(self, position: int) -> int:
        return min(position + 1, self.stride) + position // self.stride

    def causal_pairs(self, length: int) -> int:
        ramp = min(length, self.stride)
        local = ramp * (ramp + 1) // 2 + (length - ramp) * self.stride
        return local + stepwise(length, self.stride)

    def kept(self, context: int) -> tuple[int, int]:
        """All, unless only one stride fits into the context."""
        return 0, context if 2 * self.stride < context else min(context, self.stride + 1)

    def canonical(self, context: int, kind: Kind) -> Dense | SlidingWindow | Strided:
        """A stride of 1 leaves nothing out; where only one stride fits, it prolongs the window."""
        if self.stride == 1:
            return Dense()
        if 2 * self.stride >= context:
            return SlidingWindow(self.stride + 1).canonical(context, kind)
        return self

    def describe(self) -> str:
        return f"strided {self.stride}"

"""Block-local: the sequence is cut into blocks, and positions see the earlier ones of their own.

Image Transformer (Parmar et al. 2018, arXiv:1802.05751); blockwise attention (Qiu et al. 2019,
arXiv:1911.02972). Visible pairs: {(i, j) : j <= i and i // b = j // b}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError
from search_space.patterns.dense import Dense
from search_space.patterns.interface import Kind, Pairs, Pattern, Positions
from search_space.patterns.sliding_window import SlidingWindow


def check_block(block: int) -> None:
    """A block holds at least one position."""
    if block < 1:
        raise DesignError(f"a block must hold at least 1 position, but got {block}")


@dataclass(frozen=True, slots=True)
class BlockLocal(Pattern):
    """Attention within blocks of `block` positions."""

    name: ClassVar[str] = "block-local"

    block: int

    def __post_init__(self) -> None:
        check_block(self.block)

    def sees(self, query: Positions, key: Positions) -> Pairs:
        return (key <= query) & (query // self.block == key // self.block)

    def attended_at(self, position: int) -> int:
        return position % self.block + 1

    def causal_pairs(self, length: int) -> int:
        blocks, rest = divmod(length, self.block)
        return blocks * (self.block * (self.block + 1) // 2) + rest * (rest + 1) // 2

    def kept(self, context: int) -> tuple[int, int]:
        return 0, min(context, self.block)

    def canonical(self, context: int, kind: Kind) -> Dense | SlidingWindow | BlockLocal:
        """One block is dense; blocks of one position see themselves only."""
        if self.block == 1:
            return SlidingWindow(1)
        return Dense() if self.block >= context else self

    def describe(self) -> str:
        return f"block {self.block}"

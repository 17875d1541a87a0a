"""Hierarchical: a window of tokens, and one summary for each block of tokens before it.

H-Transformer-1D (Zhu and Soricut 2021, arXiv:2107.11906) with two levels; the compressed branch
of Native Sparse Attention (Yuan et al. 2025, arXiv:2502.11089) without its gate. A block's summary
is the mean of its keys (as the kernel gets them) and the mean of its values.

With s(i) = b * max(0, (i - w + 1) // b), position i attends to the tokens {j : s(i) <= j <= i} and
to the summaries of the blocks {J : J < s(i) / b}: the window reaches back to a block's edge, so
that no position is left out. Causal only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search_space.patterns.block_local import check_block
from search_space.patterns.dense import Dense
from search_space.patterns.interface import Kind, Pairs, Pattern, Positions, stepwise
from search_space.patterns.sliding_window import check_window


@dataclass(frozen=True, slots=True)
class Hierarchical(Pattern):
    """Attention over `window` to `window + block - 1` tokens and all blocks' means before."""

    name: ClassVar[str] = "hierarchical"
    kinds: ClassVar[tuple[Kind, ...]] = ("causal",)
    tokens_only: ClassVar[bool] = False

    window: int
    block: int

    def __post_init__(self) -> None:
        check_window(self.window)
        check_block(self.block)

    def window_start(self, position: Positions) -> Positions:
        """s(i), the first token that is attended to itself."""
        return self.block * np.maximum(0, (position - self.window + 1) // self.block)

    def sees(self, query: Positions, key: Positions) -> Pairs:
        """The tokens that are attended to themselves."""
        return (key <= query) & (key >= self.window_start(query))

    def sees_summary(self, query: Positions, block: Positions) -> Pairs:
        """Whether query position i attends to the summary of block J, elementwise."""
        return (block + 1) * self.block <= self.window_start(query)

    def attended_at(self, position: int) -> int:
        summaries = max(0, position - self.window + 1) // self.block
        return position + 1 - summaries * (self.block - 1)

    def causal_pairs(self, length: int) -> int:
        behind = stepwise(max(0, length - self.window + 1), self.block)
        return length * (length + 1) // 2 - (self.block - 1) * behind

    def kept(self, context: int) -> tuple[int, int]:
        """Summaries count as first positions: each takes the room of one."""
        summaries = max(0, context - self.window) // self.block
        return summaries, min(context, self.window + self.block - 1)

    def cached_positions(self, context: int) -> int:
        return sum(self.kept(context))

    def canonical(self, context: int, kind: Kind) -> Dense | Hierarchical:
        """Dense where nothing is ever summarised, or a summary is of one token."""
        return Dense() if self.block == 1 or self.window + self.block > context else self

    def describe(self) -> str:
        return f"window {self.window} + summaries of {self.block}"

"""Sinks and window: every position sees the first s positions and the last w.

StreamingLLM (Xiao et al. 2023, arXiv:2309.17453), with positions counted in the text, not in the
cache. Visible pairs: {(i, j) : j <= i and (j < s or i - j < w)}. Causal only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError
from search_space.patterns.dense import Dense
from search_space.patterns.interface import Kind, Pairs, Pattern, Positions
from search_space.patterns.sliding_window import check_window


@dataclass(frozen=True, slots=True)
class SinkWindow(Pattern):
    """Attention over `sinks` first positions and a window, the token itself included."""

    name: ClassVar[str] = "sink-window"
    kinds: ClassVar[tuple[Kind, ...]] = ("causal",)

    window: int
    sinks: int

    def __post_init__(self) -> None:
        check_window(self.window)
        if self.sinks < 1:
            raise DesignError(
                f"sinks must be at least 1, but got {self.sinks}; "
                f"without any it is sliding-window {self.window}"
            )

    def sees(self, query: Positions, key: Positions) -> Pairs:
        return (key <= query) & ((key < self.sinks) | (key > query - self.window))

    def attended_at(self, position: int) -> int:
        return min(position + 1, self.sinks + self.window)

    def causal_pairs(self, length: int) -> int:
        ramp = min(length, self.sinks + self.window)
        return ramp * (ramp + 1) // 2 + (length - ramp) * (self.sinks + self.window)

    def kept(self, context: int) -> tuple[int, int]:
        return min(self.sinks, context), min(self.window, context)

    def canonical(self, context: int, kind: Kind) -> Dense | SinkWindow:
        """Dense where sinks and window meet in the longest sequence."""
        return Dense() if self.sinks + self.window >= context else self

    def describe(self) -> str:
        return f"sinks {self.sinks} + window {self.window}"

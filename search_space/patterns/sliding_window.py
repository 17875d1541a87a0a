"""Sliding window: every position sees itself and the w - 1 before it.

Longformer (Beltagy et al. 2020, arXiv:2004.05150) and Mistral 7B (Jiang et al. 2023,
arXiv:2310.06825). Visible pairs: {(i, j) : max(0, i - w + 1) <= j <= i}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError
from search_space.patterns.dense import Dense
from search_space.patterns.interface import Kind, Pairs, Pattern, Positions


def check_window(window: int) -> None:
    """A window includes the token itself."""
    if window < 1:
        raise DesignError(
            f"a window includes the token itself, so it must be at least 1, but got {window}"
        )


@dataclass(frozen=True, slots=True)
class SlidingWindow(Pattern):
    """Attention over the last `window` positions, the token itself included."""

    name: ClassVar[str] = "sliding-window"

    window: int

    def __post_init__(self) -> None:
        check_window(self.window)

    def sees(self, query: Positions, key: Positions) -> Pairs:
        return (key <= query) & (key > query - self.window)

    def attended_at(self, position: int) -> int:
        return min(position + 1, self.window)

    def causal_pairs(self, length: int) -> int:
        ramp = min(length, self.window)
        return ramp * (ramp + 1) // 2 + (length - ramp) * self.window

    def kept(self, context: int) -> tuple[int, int]:
        return 0, min(self.window, context)

    def canonical(self, context: int, kind: Kind) -> Dense | SlidingWindow:
        return Dense() if self.window >= context else self

    def describe(self) -> str:
        return f"window {self.window}"

"""Sliding window: every position sees itself and the w - 1 before it.

Longformer (Beltagy et al. 2020, arXiv:2004.05150) and Mistral 7B (Jiang et al. 2023,
arXiv:2310.06825). Visible pairs: {(i, j) : max(0, i - w + 1) <= j <= i}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError
from search_space.patterns.dense import Dense
from search_space.patterns.interface import Pairs, Positions


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """Causal attention over the last `window` positions, the token itself included."""

    name: ClassVar[str] = "sliding-window"

    window: int

    def __post_init__(self) -> None:
        if self.window < 1:
            raise DesignError(
                f"a window includes the token itself, so it must be at least 1, "
                f"but got {self.window}"
            )

    def sees(self, query: Positions, key: Positions) -> Pairs:
        """Whether query position i sees key position j, elementwise."""
        return (key <= query) & (key > query - self.window)

    def attended_pairs(self, length: int) -> int:
        """Visible pairs of a sequence of `length` positions."""
        ramp = min(length, self.window)
        return ramp * (ramp + 1) // 2 + (length - ramp) * self.window

    def cached_positions(self, context: int) -> int:
        """Positions whose keys and values decoding must keep at this context."""
        return min(context, self.window)

    def canonical(self, context: int) -> Dense | SlidingWindow:
        """A window as long as the context is dense."""
        return Dense() if self.window >= context else self

    def describe(self) -> str:
        """For people."""
        return f"window {self.window}"

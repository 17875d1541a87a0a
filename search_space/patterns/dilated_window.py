"""Dilated window: every position sees itself and every d-th one before it, w in all.

Longformer (Beltagy et al. 2020, arXiv:2004.05150), after dilated convolutions (van den Oord et
al. 2016, arXiv:1609.03499). Visible pairs: {(i, j) : i - j in {0, d, 2 d, ..., (w - 1) d}}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError
from search_space.patterns.dense import Dense
from search_space.patterns.interface import Kind, Pairs, Pattern, Positions, stepwise
from search_space.patterns.sliding_window import SlidingWindow, check_window


@dataclass(frozen=True, slots=True)
class DilatedWindow(Pattern):
    """Attention over `window` positions that lie `dilation` apart, the token itself included."""

    name: ClassVar[str] = "dilated-window"

    window: int
    dilation: int

    def __post_init__(self) -> None:
        check_window(self.window)
        if self.dilation < 1:
            raise DesignError(f"a dilation must be at least 1, but got {self.dilation}")

    def sees(self, query: Positions, key: Positions) -> Pairs:
        back = query - key
        return (back >= 0) & (back % self.dilation == 0) & (back < self.window * self.dilation)

    def attended_at(self, position: int) -> int:
        return min(self.window, position // self.dilation + 1)

    def causal_pairs(self, length: int) -> int:
        ramp = min(length, self.window * self.dilation)
        return ramp + stepwise(ramp, self.dilation) + (length - ramp) * self.window

    def kept(self, context: int) -> tuple[int, int]:
        return 0, (min(self.window, -(-context // self.dilation)) - 1) * self.dilation + 1

    def canonical(self, context: int, kind: Kind) -> Dense | SlidingWindow | DilatedWindow:
        """A step of 1 is a plain window; a reach beyond the context is cut to what lies in it."""
        window = min(self.window, -(-context // self.dilation))
        if self.dilation == 1 or window == 1:
            return SlidingWindow(window).canonical(context, kind)
        return DilatedWindow(window, self.dilation)

    def describe(self) -> str:
        return f"dilated {self.window} × {self.dilation}"

"""Global tokens and window: the first g positions see all and are seen by all; the rest a window.

Longformer (Beltagy et al. 2020, arXiv:2004.05150), without its second set of projections.
Visible pairs: {(i, j) : |i - j| < w or min(i, j) < g}, cut to j <= i in causal attention, where
global tokens are sinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError
from search_space.patterns.dense import Dense
from search_space.patterns.interface import Kind, Pairs, Pattern, Positions
from search_space.patterns.sink_window import SinkWindow
from search_space.patterns.sliding_window import check_window


@dataclass(frozen=True, slots=True)
class GlobalWindow(Pattern):
    """Attention over a window and to and from the `globals` first positions."""

    name: ClassVar[str] = "global-window"

    window: int
    globals: int

    def __post_init__(self) -> None:
        check_window(self.window)
        if self.globals < 1:
            raise DesignError(
                f"global tokens must be at least 1, but got {self.globals}; "
                f"without any it is sliding-window {self.window}"
            )

    def sees(self, query: Positions, key: Positions) -> Pairs:
        return (key <= query) & ((key < self.globals) | (key > query - self.window))

    def attended_at(self, position: int) -> int:
        return min(position + 1, self.globals + self.window)

    def causal_pairs(self, length: int) -> int:
        ramp = min(length, self.globals + self.window)
        return ramp * (ramp + 1) // 2 + (length - ramp) * (self.globals + self.window)

    def kept(self, context: int) -> tuple[int, int]:
        return min(self.globals, context), min(self.window, context)

    def canonical(self, context: int, kind: Kind) -> Dense | SinkWindow | GlobalWindow:
        """Causal global tokens are sinks; dense where they and the window leave nothing out."""
        if self.globals + self.window >= context:
            return Dense()
        return SinkWindow(self.window, self.globals) if kind == "causal" else self

    def describe(self) -> str:
        return f"global {self.globals} + window {self.window}"

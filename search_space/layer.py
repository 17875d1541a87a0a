"""LayerDesign: one attention layer, as a frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from search_space.heads import Heads
from search_space.patterns import AnyPattern, Dense
from search_space.positions import AnyPosition, Rotary


@dataclass(frozen=True, slots=True)
class LayerDesign:
    """Heads, the pattern they attend in, and how they know positions."""

    heads: Heads
    pattern: AnyPattern = field(default_factory=Dense)
    position: AnyPosition = field(default_factory=Rotary)

    def canonical(self, context: int) -> LayerDesign:
        """The simplest layer that computes the same function up to `context`."""
        return replace(self, pattern=self.pattern.canonical(context))

    def describe(self) -> str:
        """For people: heads, then pattern."""
        return f"{self.pattern.describe()}, {self.heads.describe()}"

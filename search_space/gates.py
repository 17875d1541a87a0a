"""Gates: whether each head's output is scaled by how much the token wants it.

Gated attention, the head-wise form (Qiu et al. 2025, arXiv:2505.06708): a sigmoid of a projection
of the layer's input, one number per token and query head, times the head's output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.heads import Heads


@dataclass(frozen=True, slots=True)
class NoGate:
    """Heads go to the output projection as they are."""

    name: ClassVar[str] = "none"

    def parameters(self, width: int, heads: Heads) -> int:
        """Weights of the gate."""
        return 0

    def describe(self) -> str:
        """A few words for people; none for the ordinary case."""
        return ""


@dataclass(frozen=True, slots=True)
class HeadGate:
    """A sigmoid gate per query head after attention."""

    name: ClassVar[str] = "head"

    def parameters(self, width: int, heads: Heads) -> int:
        """Weights of the gate."""
        return width * heads.query

    def describe(self) -> str:
        """A few words for people."""
        return "gated"


Gate = NoGate | HeadGate

GATES: dict[str, type[Gate]] = {cls.name: cls for cls in (NoGate, HeadGate)}

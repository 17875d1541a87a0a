"""No position: order enters through the causal pattern alone.

Kazemnejad et al. 2023, arXiv:2305.19466; SmolLM3 and Llama 4 leave positions out in some layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.positions.interface import Position


@dataclass(frozen=True, slots=True)
class NoPosition(Position):
    """Scores do not know positions."""

    name: ClassVar[str] = "none"

    def describe(self) -> str:
        return "no position"

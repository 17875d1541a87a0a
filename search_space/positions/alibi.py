"""ALiBi: scores fall linearly with distance, each query head with its own slope.

Press et al. 2021, arXiv:2108.12409. Query head h of H (from 1) adds -|i - j| * 2 ** (-8 h / H).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.positions.interface import Position


@dataclass(frozen=True, slots=True)
class Alibi(Position):
    """A penalty by distance on every score."""

    name: ClassVar[str] = "alibi"
    by_distance: ClassVar[bool] = True

    def describe(self) -> str:
        return "ALiBi"

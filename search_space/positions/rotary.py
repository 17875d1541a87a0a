"""Rotary: queries and keys turned by angles that grow with their position.

Su et al. 2021, arXiv:2104.09864; half-split, as Llama stores it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError
from search_space.positions.interface import Position

DEFAULT_BASE = 10000.0


@dataclass(frozen=True, slots=True)
class Rotary(Position):
    """Queries and keys turned by an angle proportional to their position."""

    name: ClassVar[str] = "rotary"
    turns: ClassVar[bool] = True

    base: float = DEFAULT_BASE

    def __post_init__(self) -> None:
        if not 1.0 < self.base < float("inf"):
            raise DesignError(
                f"the rotary base must be a finite number above 1, but got {self.base}"
            )

    def describe(self) -> str:
        return "" if self.base == DEFAULT_BASE else f"rotary base {self.base:g}"

"""Positions: rotary embedding (Su et al. 2021, arXiv:2104.09864), half-split as Llama stores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError


@dataclass(frozen=True, slots=True)
class Rotary:
    """Queries and keys turned by an angle proportional to their position."""

    name: ClassVar[str] = "rotary"

    base: float = 10000.0

    def __post_init__(self) -> None:
        if not 1.0 < self.base < float("inf"):
            raise DesignError(
                f"the rotary base must be a finite number above 1, but got {self.base}"
            )

    def describe(self) -> str:
        """For people."""
        return f"rotary base {self.base:g}"


AnyPosition = Rotary

POSITIONS: dict[str, type[AnyPosition]] = {Rotary.name: Rotary}

"""Scaled dot product: q.k / sqrt(D) (Vaswani et al. 2017, arXiv:1706.03762)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.scores.interface import Score


@dataclass(frozen=True, slots=True)
class ScaledDot(Score):
    """The inner product over the root of the compared channels."""

    name: ClassVar[str] = "scaled-dot"

    def describe(self) -> str:
        return ""

"""Dot product: q.k as it is (Luong et al. 2015, arXiv:1508.04025; T5, arXiv:1910.10683)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.scores.interface import Score


@dataclass(frozen=True, slots=True)
class Dot(Score):
    """The inner product, not scaled."""

    name: ClassVar[str] = "dot"

    def describe(self) -> str:
        return "unscaled"

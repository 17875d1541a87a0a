"""Heads: how many query heads share each key-value head, and how wide a head is.

Multi-head (Vaswani et al. 2017, arXiv:1706.03762), grouped-query (Ainslie et al. 2023,
arXiv:2305.13245) and multi-query attention (Shazeer 2019, arXiv:1911.02150) are points of one
axis: the number of key-value heads.
"""

from __future__ import annotations

from dataclasses import dataclass

from search_space.errors import DesignError


@dataclass(frozen=True, slots=True)
class Heads:
    """Query heads, key-value heads, and the width of one head."""

    query: int
    kv: int
    dim: int

    def __post_init__(self) -> None:
        for name, value in (("query heads", self.query), ("KV heads", self.kv)):
            if value < 1:
                raise DesignError(f"{name} must be at least 1, but got {value}")
        if self.query % self.kv:
            legal = [n for n in range(1, self.query + 1) if self.query % n == 0]
            nearest = min(legal, key=lambda n: abs(n - self.kv))
            raise DesignError(
                f"query heads must be a multiple of KV heads, but got query={self.query}, "
                f"kv={self.kv}; try kv={nearest}"
            )
        if self.dim < 2 or self.dim % 2:
            raise DesignError(
                f"the head dimension must be even (rotary turns pairs of channels), "
                f"but got {self.dim}; try {max(2, self.dim + self.dim % 2)}"
            )

    @classmethod
    def multi(cls, query: int, *, dim: int) -> Heads:
        """One key-value head per query head."""
        return cls(query, query, dim)

    @classmethod
    def grouped(cls, query: int, *, kv: int, dim: int) -> Heads:
        """`query // kv` query heads share each key-value head."""
        return cls(query, kv, dim)

    @classmethod
    def multi_query(cls, query: int, *, dim: int) -> Heads:
        """All query heads share one key-value head."""
        return cls(query, 1, dim)

    @property
    def group(self) -> int:
        """Query heads per key-value head."""
        return self.query // self.kv

    def describe(self) -> str:
        """For people: `grouped-query 8:2, 8 × 32`."""
        kind = (
            "multi-head"
            if self.kv == self.query
            else "multi-query"
            if self.kv == 1
            else f"grouped-query {self.query}:{self.kv}"
        )
        return f"{kind}, {self.query} × {self.dim}"

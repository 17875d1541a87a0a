"""Own keys and values: one projection each (Vaswani et al. 2017, arXiv:1706.03762)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.heads import Heads
from search_space.sharing.interface import Sharing, query_and_output


@dataclass(frozen=True, slots=True)
class OwnKV(Sharing):
    """The layer projects its own keys and values."""

    name: ClassVar[str] = "own"

    def projections(self, width: int, heads: Heads) -> int:
        return query_and_output(width, heads) + self.key_weights(width, heads)

    def key_weights(self, width: int, heads: Heads) -> int:
        return 2 * width * heads.kv * heads.dim

    def cached_tensors(self) -> int:
        return 2

    def describe(self) -> str:
        return ""

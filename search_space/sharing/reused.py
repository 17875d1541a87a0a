"""Reused: the layer projects queries only and attends to the keys and values of its anchor.

Cross-layer attention (CLA, Brandon et al. 2024, arXiv:2405.12981); YOCO (Sun et al. 2024,
arXiv:2405.05254) is the same with half of the layers reusing one. The anchor is the nearest
earlier layer of the same kind that is neither reusing nor tied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.heads import Heads
from search_space.sharing.interface import Sharing, query_and_output


@dataclass(frozen=True, slots=True)
class ReusedKV(Sharing):
    """Keys and values come from an earlier layer and are cached there."""

    name: ClassVar[str] = "reused"

    def projections(self, width: int, heads: Heads) -> int:
        return query_and_output(width, heads)

    def key_weights(self, width: int, heads: Heads) -> int:
        return 0

    def cached_tensors(self) -> int:
        return 0

    def describe(self) -> str:
        return "reused KV"

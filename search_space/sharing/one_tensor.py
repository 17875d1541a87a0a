"""One tensor: a layer's keys are its values as well, projected and cached once.

The K = V variant of "Do Transformers Need Three Projections?" (2026, arXiv:2606.04032). With
rotary, values turn with the keys and the output is turned back by the query's position (Su, "the
second kind of rotary embedding", 2025), so a value enters by its distance and one tensor is all
that is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.heads import Heads
from search_space.sharing.interface import Sharing, query_and_output


@dataclass(frozen=True, slots=True)
class OneTensor(Sharing):
    """Keys and values are one tensor."""

    name: ClassVar[str] = "one-tensor"

    def projections(self, width: int, heads: Heads) -> int:
        return query_and_output(width, heads) + self.key_weights(width, heads)

    def key_weights(self, width: int, heads: Heads) -> int:
        return width * heads.kv * heads.dim

    def cached_tensors(self) -> int:
        return 1

    def describe(self) -> str:
        return "K = V"

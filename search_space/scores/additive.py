"""Additive: v.tanh(q + k), a small network in place of the product.

Bahdanau et al. 2014, arXiv:1409.0473. Each query head has its own v of D channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.heads import Heads
from search_space.scores.interface import Score


@dataclass(frozen=True, slots=True)
class Additive(Score):
    """A learned direction of the tanh of the sum."""

    name: ClassVar[str] = "additive"
    is_product: ClassVar[bool] = False

    def parameters(self, heads: Heads, *, own_keys: bool) -> int:
        return heads.query * heads.dim

    def pair_flops(self, key_width: int) -> int:
        """A sum, a tanh (counted as one) and a multiply-add per channel."""
        return 4 * key_width

    def describe(self) -> str:
        return "additive"

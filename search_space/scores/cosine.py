"""Cosine: queries and keys are normalised before their inner product (QK-norm).

Henry et al. 2020, arXiv:2010.04245; in the form that Gemma 3 and Qwen 3 use: root-mean-square
norms over the head dimension with a weight per channel, shared by a layer's heads, before rotary;
then the scaled dot product, which is sqrt(D) times the cosine while the weights are 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.heads import Heads
from search_space.scores.interface import Score


@dataclass(frozen=True, slots=True)
class Cosine(Score):
    """The scaled dot product of normalised queries and keys."""

    name: ClassVar[str] = "cosine"
    treats_keys: ClassVar[bool] = True

    def parameters(self, heads: Heads, *, own_keys: bool) -> int:
        return (1 + own_keys) * heads.dim

    def describe(self) -> str:
        return "cosine"

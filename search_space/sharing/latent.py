"""Latent: keys and values of all heads are projected up from one small vector per token.

Multi-head latent attention (MLA, DeepSeek-V2, 2024, arXiv:2405.04434) with direct queries. A token
is projected to `rank` channels, normalised, and up to each head's key and value. Rotary can't pass
through that product, so each query head, and all keys together, have `rotary_dim` turned channels
besides. Decoding keeps rank + rotary_dim numbers per token and never forms keys or values: the
up-projections are absorbed into the query and the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from search_space.errors import DesignError
from search_space.heads import Heads
from search_space.sharing.interface import Sharing, query_and_output


@dataclass(frozen=True, slots=True)
class LatentKV(Sharing):
    """Keys and values are products of a cached latent vector."""

    name: ClassVar[str] = "latent"

    rank: int
    rotary_dim: int = 0

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise DesignError(f"the latent rank must be at least 1, but got {self.rank}")
        if self.rotary_dim < 0 or self.rotary_dim % 2:
            raise DesignError(
                f"rotary turns pairs of channels, so rotary_dim must be even and at least 0, "
                f"but got {self.rotary_dim}; try {max(0, self.rotary_dim + self.rotary_dim % 2)}"
            )

    @property
    def cached_width(self) -> int:
        """Numbers that decoding keeps per token."""
        return self.rank + self.rotary_dim

    def projections(self, width: int, heads: Heads) -> int:
        """Queries and output, the turned query channels, down, up to keys and values."""
        turned_queries = width * heads.query * self.rotary_dim
        up = 2 * self.rank * heads.query * heads.dim
        return query_and_output(width, heads) + turned_queries + self.key_weights(width, heads) + up

    def key_weights(self, width: int, heads: Heads) -> int:
        """The way down; the way up is absorbed into queries and output."""
        return width * self.cached_width

    def parameters(self, width: int, heads: Heads) -> int:
        """The projections and the norm of the latent."""
        return self.projections(width, heads) + self.rank

    def cached_tensors(self) -> int:
        """Nothing per head: the latent is kept once per layer (`cached_width`)."""
        return 0

    def key_width(self, heads: Heads) -> int:
        return heads.dim + self.rotary_dim

    def describe(self) -> str:
        turned = f"+{self.rotary_dim}" if self.rotary_dim else ""
        return f"latent {self.rank}{turned}"

"""What sharing is: which projections a layer has and what decoding keeps of its tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from search_space.heads import Heads


class Sharing(ABC):
    """A way to come by keys and values; a new one is one file and one line of registration."""

    __slots__ = ()

    name: ClassVar[str]

    @abstractmethod
    def projections(self, width: int, heads: Heads) -> int:
        """Weights of the query, key, value and output projections (no biases)."""

    @abstractmethod
    def key_weights(self, width: int, heads: Heads) -> int:
        """Those of them that a token is multiplied with to be attended to later."""

    def parameters(self, width: int, heads: Heads) -> int:
        """All weights: the projections, and norms between them."""
        return self.projections(width, heads)

    @abstractmethod
    def cached_tensors(self) -> int:
        """Vectors of the head dimension that decoding keeps per position and KV head."""

    @abstractmethod
    def describe(self) -> str:
        """A few words for people; none for the ordinary case."""

    def key_width(self, heads: Heads) -> int:
        """Channels of a head that queries and keys are compared in."""
        return heads.dim


def query_and_output(width: int, heads: Heads) -> int:
    """Weights of the query and output projections."""
    return 2 * width * heads.query * heads.dim

"""What a pattern is: a set of visible (query, key) pairs, with its costs beside it.

A pattern states its causal pairs. Its bidirectional pairs are those and their mirror images:
position i sees j if the later of the two sees the earlier one. So only the causal half is counted,
and the diagonal once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.bool_]
Kind = Literal["causal", "bidirectional", "cross"]
KINDS: tuple[Kind, ...] = ("causal", "bidirectional", "cross")


class Pattern(ABC):
    """An attention pattern; a new one is one file and one line of registration.

    What is said here holds for softmax over tokens; the linear patterns, which keep a state in
    place of tokens, and those with slots that are no tokens say their own.
    """

    __slots__ = ()

    name: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]] = ("causal", "bidirectional")
    keeps_state: ClassVar[bool] = False  # a state of constant size, no softmax
    tokens_only: ClassVar[bool] = True  # every slot that a query attends to is one token

    @abstractmethod
    def sees(self, query: Positions, key: Positions) -> Pairs:
        """The causal formula: whether query position i sees key position j, elementwise."""

    @abstractmethod
    def attended_at(self, position: int) -> int:
        """Slots that a causal query at `position` attends to."""

    @abstractmethod
    def causal_pairs(self, length: int) -> int:
        """The sum of `attended_at` over a sequence of `length` positions."""

    @abstractmethod
    def kept(self, context: int) -> tuple[int, int]:
        """First and most recent positions that decoding up to `context` has to keep."""

    @abstractmethod
    def canonical(self, context: int, kind: Kind) -> Any:
        """The simplest registered pattern with the same pairs up to `context`."""

    @abstractmethod
    def describe(self) -> str:
        """One phrase for people."""

    def visible(self, query: Positions, key: Positions, kind: Kind = "causal") -> Pairs:
        """`sees` for every kind of attention."""
        if kind == "bidirectional":
            return self.sees(np.maximum(query, key), np.minimum(query, key))
        seen = self.sees(query, key)
        return np.ones_like(seen) if kind == "cross" else seen

    def attended_pairs(self, length: int, kind: Kind = "causal") -> int:
        """Attended (query, slot) pairs of a sequence of `length` positions."""
        if kind == "cross":  # dense, over a source as long
            return length * length
        pairs = self.causal_pairs(length)
        return pairs if kind == "causal" else 2 * pairs - length

    def cached_positions(self, context: int) -> int:
        """Positions whose keys and values decoding keeps at this context."""
        return min(context, sum(self.kept(context)))

    def cache_elements(self, context: int, dim: int, tensors: int) -> int:
        """Numbers that decoding keeps per KV head: `tensors` vectors (K and V) per position."""
        return tensors * dim * self.cached_positions(context)

    def covers(self, other: Pattern, context: int) -> bool:
        """Whether a cache made for this pattern holds all that `other` attends to."""
        if self == other:
            return True
        if not (self.tokens_only and other.tokens_only) or self.keeps_state or other.keeps_state:
            return False
        (first, recent), (wanted_first, wanted) = self.kept(context), other.kept(context)
        return recent >= context or (recent >= wanted and first >= wanted_first)

    def parameters(self, width: int, kv_heads: int, context: int) -> int:
        """Weights of the pattern's own, for some KV heads."""
        return self.projections(width, kv_heads)

    def projections(self, width: int, kv_heads: int) -> int:
        """Those of them that every token is multiplied with."""
        return 0

    def mixing_flops(
        self, length: int, heads: int, kv_heads: int, dim: int, per_pair: int, kind: Kind
    ) -> int:
        """FLOPs of attending over a sequence, `per_pair` for each pair and query head."""
        return heads * per_pair * self.attended_pairs(length, kind)

    def decode_flops(
        self, position: int, heads: int, kv_heads: int, dim: int, per_pair: int
    ) -> int:
        """FLOPs of attending from one new token at `position`."""
        return heads * per_pair * self.attended_at(position)


class StatePattern(Pattern):
    """A pattern whose heads read a state of fixed size.

    Information flows over all dense pairs, but neither work nor cache grows with them.
    """

    __slots__ = ()

    keeps_state: ClassVar[bool] = True
    tokens_only: ClassVar[bool] = False

    @abstractmethod
    def token_flops(self, heads: int, kv_heads: int, dim: int) -> int:
        """FLOPs of updating the state by one token and of reading it."""

    def sees(self, query: Positions, key: Positions) -> Pairs:
        return key <= query

    def attended_at(self, position: int) -> int:
        return position + 1

    def causal_pairs(self, length: int) -> int:
        return length * (length + 1) // 2

    def kept(self, context: int) -> tuple[int, int]:
        return 0, 0

    def mixing_flops(
        self, length: int, heads: int, kv_heads: int, dim: int, per_pair: int, kind: Kind
    ) -> int:
        return length * self.token_flops(heads, kv_heads, dim)

    def decode_flops(
        self, position: int, heads: int, kv_heads: int, dim: int, per_pair: int
    ) -> int:
        return self.token_flops(heads, kv_heads, dim)

    def canonical(self, context: int, kind: Kind) -> Any:
        return self


def stepwise(length: int, step: int) -> int:
    """Sum of i // step over i < length."""
    full, rest = divmod(length, step)
    return step * full * (full - 1) // 2 + rest * full

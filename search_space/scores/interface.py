"""What a score is: a number for a query and a key, with its weights and its work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from search_space.heads import Heads


class Score(ABC):
    """A comparison of a query and a key; a new one is one file and one line of registration."""

    __slots__ = ()

    name: ClassVar[str]
    is_product: ClassVar[bool] = True  # an inner product of (treated) query and key
    treats_keys: ClassVar[bool] = False  # keys are changed before they are cached

    @abstractmethod
    def describe(self) -> str:
        """A few words for people; none for the ordinary case."""

    def parameters(self, heads: Heads, *, own_keys: bool) -> int:
        """Weights of the score's own; `own_keys` where the layer makes keys itself."""
        return 0

    def pair_flops(self, key_width: int) -> int:
        """FLOPs of one score of `key_width` channels."""
        return 2 * key_width

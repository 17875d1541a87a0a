"""What a position scheme is: how the order of tokens enters a layer's scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar


class Position(ABC):
    """A scheme without weights; a new one is one file and one line of registration."""

    __slots__ = ()

    name: ClassVar[str]
    turns: ClassVar[bool] = False  # queries and keys are turned, and keys cached so
    by_distance: ClassVar[bool] = False  # adds to each pair's score

    @abstractmethod
    def describe(self) -> str:
        """A few words for people; none for the ordinary case."""

"""What a pattern is: a set of visible (query, key) pairs, with its costs beside it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.bool_]


class Pattern(Protocol):
    """A causal attention pattern; a new one is one file and one line of registration."""

    @property
    def name(self) -> str: ...

    def sees(self, query: Positions, key: Positions) -> Pairs:
        """The formula: whether query position i sees key position j, elementwise."""
        ...

    def attended_pairs(self, length: int) -> int:
        """Visible pairs of a sequence of `length` positions."""
        ...

    def cached_positions(self, context: int) -> int:
        """Positions whose keys and values decoding must keep at this context."""
        ...

    def canonical(self, context: int) -> Any:
        """The simplest registered pattern with the same pairs up to `context`."""
        ...

    def describe(self) -> str:
        """One phrase for people."""
        ...

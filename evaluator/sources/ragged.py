"""Ragged: byte strings of different lengths in two plain arrays, as they travel to workers.

Shapes: N strings, B batch, L positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluator.sources.text import Bytes

Indexes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ragged:
    """All bytes one after the other, and where each string ends."""

    flat: Bytes
    ends: Indexes  # (N,)

    @classmethod
    def of(cls, strings: Iterable[bytes]) -> Ragged:
        kept = list(strings)
        ends = np.cumsum([len(string) for string in kept], dtype=np.int64)
        return cls(np.frombuffer(b"".join(kept), dtype=np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> Indexes:
        """Bytes of each string (N,)."""
        return np.diff(self.ends, prepend=0)

    @property
    def longest(self) -> int:
        """Bytes of the longest string."""
        return int(self.lengths.max(initial=0))

    def string(self, index: int) -> bytes:
        return self._bytes(index).tobytes()

    def padded(self, at: Indexes, length: int, padding: int) -> Indexes:
        """The strings at these indexes (B,) as rows (B, L), with padding behind."""
        rows = np.full((len(at), length), padding, dtype=np.int64)
        for row, index in zip(rows, at, strict=True):
            string = self._bytes(index)
            row[: len(string)] = string
        return rows

    def _bytes(self, index: int) -> Bytes:
        return self.flat[self.ends[index - 1] if index else 0 : self.ends[index]]

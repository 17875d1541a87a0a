"""Sizes: how many distinct legal designs a space holds, counted or estimated with its error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from search_space.design import Design
from search_space.frames import Choice

if TYPE_CHECKING:
    from search_space.space import Space

ENUMERABLE = 20_000  # ways; a second or two
SAMPLES = 4_000


@dataclass(frozen=True, slots=True)
class Size:
    """Number of distinct designs, and the standard error of an estimate relative to it."""

    count: int
    exact: bool
    relative_error: float

    def __str__(self) -> str:
        # whole numbers of hundreds of digits have no float
        digits = str(self.count)
        text = (
            f"{self.count:,}" if len(digits) < 10 else f"{digits[0]}.{digits[1]}e{len(digits) - 1}"
        )
        if self.exact:
            return f"{text} design{'' if self.count == 1 else 's'}"
        if not self.count:
            return "no design was found by sampling"
        return f"about {text} designs (standard error {100 * self.relative_error:.2g}%)"


def size(space: Space, seed: int = 0) -> Size:
    """Exact where no two ways meet or they are few, else estimated from samples."""
    ways = sum(space.frames.weights)
    if space.frames.unambiguous and not space.constraints:
        return Size(ways, True, 0.0)
    if ways <= ENUMERABLE:
        return Size(sum(1 for _ in enumerate_designs(space)), True, 0.0)
    rng = np.random.default_rng(seed)
    shares = np.zeros(SAMPLES)
    for i in range(SAMPLES):
        frame, choice = space.frames.draw(rng)
        if not space.constraints or not space.violations(space.build(frame, choice)):
            shares[i] = 1 / space.frames.ways(choice, frame.context)
    mean = float(shares.mean())
    if mean == 0:
        return Size(0, False, float("inf"))
    error = float(shares.std(ddof=1)) / mean / SAMPLES**0.5
    error = max(error, 1 / SAMPLES)  # duplicates too rare to be seen
    scale = 10**15  # a float has 15 digits, and `ways` may be too large for one
    return Size(ways * round(mean * scale) // scale, False, error)


def enumerate_designs(space: Space) -> Iterator[Design]:
    """Every distinct legal design once, in a fixed order; for small spaces."""
    seen: set[tuple[int, int, Choice]] = set()
    for frame in space.frames.all:
        for choice in space.frames.every(frame):
            identity = (frame.width, frame.context, choice)
            if identity in seen:
                continue
            seen.add(identity)
            design = space.build(frame, choice)
            if not space.violations(design):
                yield design

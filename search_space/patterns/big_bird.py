"""BigBird: a window, global tokens and random far ones, all in blocks.

Zaheer et al. 2020, arXiv:2007.14062. Positions i and j lie in blocks I = i // b and J = j // b.
Visible pairs: {(i, j) : j <= i and (I - J < w or J < g or J in R(I))}, where R(I) are the r blocks
among those not yet visible with the smallest hashes of (seed, I, J). R(I) looks at earlier blocks
only, so a longer sequence changes nothing for the positions before.

The one exception to equal keys for equal functions: with few blocks the lots of two designs may
coincide (of 104 legal ones at 8 blocks 25 share their pairs with another, at 16 blocks none).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from search_space.errors import DesignError
from search_space.patterns.block_local import check_block
from search_space.patterns.dense import Dense
from search_space.patterns.interface import Kind, Pairs, Pattern, Positions, stepwise


@dataclass(frozen=True, slots=True)
class BigBird(Pattern):
    """Attention over `window`, `globals` and `random` blocks of `block` positions."""

    name: ClassVar[str] = "big-bird"

    block: int
    window: int  # blocks, the own one included
    globals: int  # blocks at the start
    random: int  # blocks
    seed: int = 0

    def __post_init__(self) -> None:
        check_block(self.block)
        if self.window < 1:
            raise DesignError(
                f"a window of blocks includes the own one, so it must be at least 1, "
                f"but got {self.window}"
            )
        if self.globals < 0:
            raise DesignError(f"global blocks must be at least 0, but got {self.globals}")
        if self.random < 1:
            raise DesignError(
                f"random blocks must be at least 1, but got {self.random}; "
                f"without any use global-window"
            )
        if not 0 <= self.seed < 2**32:
            raise DesignError(f"the seed of random blocks is 0 to 2**32 - 1, but got {self.seed}")

    def sees(self, query: Positions, key: Positions) -> Pairs:
        visible = self.block_pairs(-(-int(np.max(query) + 1) // self.block))
        causal = key <= query
        return causal & visible[query // self.block, np.minimum(key, query) // self.block]

    def block_pairs(self, blocks: int) -> Pairs:
        """Whether block I sees the earlier or same block J: (blocks, blocks)."""
        row, column = np.arange(blocks)[:, None], np.arange(blocks)[None, :]
        visible = (column <= row) & ((row - column < self.window) | (column < self.globals))
        for i in range(blocks):
            visible[i, list(self.random_blocks(i))] = True
        return visible

    def random_blocks(self, block: int) -> tuple[int, ...]:
        """R(I), ascending."""
        return _random_blocks(self, block)

    @property
    def _others(self) -> int:
        """Blocks before the own one that a position sees where there are enough."""
        return self.window - 1 + self.globals + self.random

    def attended_at(self, position: int) -> int:
        block, inside = divmod(position, self.block)
        return inside + 1 + self.block * min(block, self._others)

    def causal_pairs(self, length: int) -> int:
        blocks, rest = divmod(length, self.block)
        own = blocks * (self.block * (self.block + 1) // 2) + rest * (rest + 1) // 2
        ramp = min(blocks, self._others)
        others = stepwise(ramp, 1) + (blocks - ramp) * self._others
        return own + self.block * (self.block * others + rest * min(blocks, self._others))

    def kept(self, context: int) -> tuple[int, int]:
        """All: some later block may look anywhere."""
        return 0, context

    def canonical(self, context: int, kind: Kind) -> Dense | BigBird:
        """Dense where the last block sees all."""
        return Dense() if -(-context // self.block) - 1 <= self._others else self

    def describe(self) -> str:
        seed = f", seed {self.seed}" if self.seed else ""
        return (
            f"BigBird {self.window} window + {self.globals} global + {self.random} random "
            f"blocks of {self.block}{seed}"
        )


@lru_cache(maxsize=65_536)
def _random_blocks(pattern: BigBird, block: int) -> tuple[int, ...]:
    unseen = range(pattern.globals, block - pattern.window + 1)
    hashes = sorted((block_hash(pattern.seed, block, other), other) for other in unseen)
    return tuple(sorted(other for _, other in hashes[: pattern.random]))


def block_hash(seed: int, row: int, column: int) -> int:
    """64 well-mixed bits: SplitMix64's finaliser (Steele et al. 2014, doi:10.1145/2660193.2660195)

    over the three numbers, each below 2**32.
    """
    value = 0
    for part in (seed, row, column):
        value = (value + part + 0x9E3779B97F4A7C15) % 2**64
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) % 2**64
        value ^= value >> 31
    return value

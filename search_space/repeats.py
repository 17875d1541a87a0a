"""Repeats: the layers at one position of a motif, all from one cell, counted and drawn exactly.

A tuple of layers may fit several cells (a dense layer fits all that differ in their window), but is
one tuple. So tuples are read from the left, keeping the set of cells that still offer all layers so
far: with W(k, S) ways to choose k more layers while the cells S are left, W(k, S) is the sum over
layers of W(k - 1, S and the layer's cells), where some cell is left. Layers of equal cells are
counted together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from search_space.chains import Layers

Cells = frozenset[int]


class Repeats:
    """All distinct tuples of `count` layers, each offered whole by one of some cells."""

    def __init__(self, cells: Sequence[Layers], count: int) -> None:
        self._count, self._cells = count, cells
        homes: dict[int, set[int]] = {}
        for number, options in enumerate(cells):
            for option in options:
                homes.setdefault(option, set()).add(number)
        self._alike: dict[Cells, list[int]] = {}  # layers by the cells that offer them
        for option, home in homes.items():
            self._alike.setdefault(frozenset(home), []).append(option)
        self._all: Cells = frozenset(range(len(cells)))
        self._ways: dict[tuple[int, Cells], int] = {}
        self._shares: dict[tuple[int, Cells], tuple[list[Cells], list[float]]] = {}
        self.total = self._fill(count)

    def _fill(self, count: int) -> int:
        """W for every number of layers and every set of cells that can be left."""
        reached: list[set[Cells]] = [{self._all}]
        for _ in range(count - 1):
            left = {cells & home for cells in reached[-1] for home in self._alike}
            reached.append({cells for cells in left if cells})
        for k, states in enumerate(reversed(reached), 1):
            for cells in states:
                self._ways[k, cells] = sum(self._weights(k, cells).values())
        return self._ways[count, self._all]

    def _weights(self, k: int, cells: Cells) -> dict[Cells, int]:
        """Ways to choose k layers, by the cells that offer the first of them."""
        return {
            home: len(layers) * (self._ways[k - 1, cells & home] if k > 1 else 1)
            for home, layers in self._alike.items()
            if cells & home
        }

    def draw(self, rng: np.random.Generator) -> Layers:
        """A tuple, uniformly."""
        cells, picked = self._all, []
        for k in range(self._count, 0, -1):
            if len(cells) == 1:  # all of one cell's layers, freely
                options = self._cells[next(iter(cells))]
                return (*picked, *(options[i] for i in rng.integers(len(options), size=k).tolist()))
            if (k, cells) not in self._shares:
                weights = self._weights(k, cells)
                total = sum(weights.values())
                shares = [part / total for part in accumulate(weights.values())]
                self._shares[k, cells] = list(weights), shares
            names, shares = self._shares[k, cells]
            home = names[bisect_right(shares, rng.random(), hi=len(shares) - 1)]
            layers = self._alike[home]
            picked.append(layers[int(rng.integers(len(layers)))])
            cells = cells & home
        return tuple(picked)

    def every(self) -> Iterator[Layers]:
        """Every tuple once, in a fixed order."""

        def walk(k: int, cells: Cells, picked: Layers) -> Iterator[Layers]:
            if k == 0:
                yield picked
                return
            for home, layers in self._alike.items():
                if cells & home:
                    for layer in layers:
                        yield from walk(k - 1, cells & home, (*picked, layer))

        return walk(self._count, self._all, ())

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
        alike: dict[Cells, list[int]] = {}  # layers by the cells that offer them
        for option, home in homes.items():
            alike.setdefault(frozenset(home), []).append(option)
        self._alike = list(alike.values())
        self._only: list[int | None] = []  # the cell that is left in a state, if one is
        self._steps = self._reached(list(alike))
        self._ways = self._counted()
        self._shares: dict[tuple[int, int], list[float]] = {}

    @property
    def total(self) -> int:
        """Number of tuples."""
        return self._ways[self._count][0]

    def _reached(self, homes: Sequence[Cells]) -> list[list[tuple[int, int]]]:
        """From every set of cells that can be left, by number: (kind of layer, set after it)."""
        everything = frozenset(range(len(self._cells)))
        numbers, sets = {everything: 0}, [everything]
        steps: list[list[tuple[int, int]]] = []
        for left in sets:  # which grows on the way
            self._only.append(next(iter(left)) if len(left) == 1 else None)
            here: list[tuple[int, int]] = []
            for kind, home in enumerate(homes):
                if kept := left & home:
                    if kept not in numbers:
                        numbers[kept] = len(sets)
                        sets.append(kept)
                    here.append((kind, numbers[kept]))
            steps.append(here)
        return steps

    def _counted(self) -> list[list[int]]:
        """W: for each number of layers still to choose, by state."""
        ways = [[1] * len(self._steps)]
        for _ in range(self._count):
            after = ways[-1]
            ways.append(
                [sum(len(self._alike[k]) * after[s] for k, s in steps) for steps in self._steps]
            )
        return ways

    def draw(self, rng: np.random.Generator) -> Layers:
        """A tuple, uniformly."""
        state, picked = 0, []
        for k in range(self._count, 0, -1):
            only = self._only[state]
            if only is not None:  # all of one cell's layers, freely
                options = self._cells[only]
                return (*picked, *(options[i] for i in rng.integers(len(options), size=k).tolist()))
            steps = self._steps[state]
            if (k, state) not in self._shares:
                after, total = self._ways[k - 1], self._ways[k][state]
                parts = accumulate(len(self._alike[kind]) * after[s] for kind, s in steps)
                self._shares[k, state] = [part / total for part in parts]
            shares = self._shares[k, state]
            kind, state = steps[bisect_right(shares, rng.random(), hi=len(shares) - 1)]
            picked.append(self._alike[kind][int(rng.integers(len(self._alike[kind])))])
        return tuple(picked)

    def every(self) -> Iterator[Layers]:
        """Every tuple once, in a fixed order."""
        walks = [self._choices(0)]  # one per layer chosen so far, and one for the next
        picked: list[int] = []
        while walks:
            chosen = next(walks[-1], None)
            if chosen is None:
                walks.pop()
                if picked:
                    picked.pop()
            elif len(walks) == self._count:
                yield (*picked, chosen[0])
            else:
                picked.append(chosen[0])
                walks.append(self._choices(chosen[1]))

    def _choices(self, state: int) -> Iterator[tuple[int, int]]:
        """Layers that may come next, and the state after each."""
        for kind, after in self._steps[state]:
            for layer in self._alike[kind]:
                yield layer, after

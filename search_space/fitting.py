"""Fitting: the layers of a part nearest to wanted ones, legal in sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from search_space.chains import Layers
from search_space.layer import LayerDesign
from search_space.layer_values import features
from search_space.stack import Cell, Group, Part, Stack

REMEMBERED = 4_096  # wanted layers


@dataclass(slots=True)
class Wanted:
    """A wanted layer, and what was found out about it."""

    layer: LayerDesign  # kept, so that its identity stays its own
    by_cell: dict[int, np.ndarray] = field(default_factory=dict)  # least distance, by group
    nearest: dict[int, list[tuple[float, int]]] = field(default_factory=dict)  # by cell


class Fitter:
    """Finds nearest layers in the cells of a stack, and remembers them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._wanted: dict[int, Wanted] = {}
        self._options: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # and where cells start

    def nearest(self, cell: Cell, wanted: LayerDesign) -> int:
        """The nearest layer of the cell."""
        return self._by_distance(cell, self._known(wanted))[0][1]

    def fit(self, part: Part, wanted: Sequence[LayerDesign]) -> tuple[float, Layers] | None:
        """The sum of distances and the part's layers; None where none were found.

        Layer by layer: the first of a motif's position chooses the cell for all of them; one that
        leans must suit what was chosen before.
        """
        stack, context, period = self._stack, part.group.context, part.period
        known = [self._known(layer) for layer in wanted]
        chosen: dict[int, Cell] = {}
        layers: list[int] = []
        total, anchor = 0.0, None
        for i, one in enumerate(known):
            cells = (
                [chosen[i % period]] if i >= period else self._best_first(part, known[i::period])
            )
            found = None
            for cell in cells:
                found = self._first_legal(cell, one, anchor, context)
                if found is not None:
                    chosen[i % period] = cell
                    break
            if found is None:
                return None
            far, number = found
            total += far
            layers.append(number)
            if stack.independent(number):
                anchor = stack.layers[number]
        return total, tuple(layers)

    def _known(self, layer: LayerDesign) -> Wanted:
        """What is remembered of a layer, by identity: hashing one costs more than comparing."""
        found = self._wanted.get(id(layer))
        if found is None:
            if len(self._wanted) >= REMEMBERED:
                self._wanted.clear()
            found = self._wanted[id(layer)] = Wanted(layer)
        return found

    def _best_first(self, part: Part, here: Sequence[Wanted]) -> list[Cell]:
        """The cells by how near they come to all layers of one position of the motif."""
        cells = part.group.cells
        if len(cells) == 1:
            return list(cells)
        total = np.sum([self._least(part.group, one) for one in here], axis=0)
        return [cells[i] for i in np.argsort(total, kind="stable")]

    def _least(self, group: Group, wanted: Wanted) -> np.ndarray:
        """The distance of each cell's nearest layer: (cells,)."""
        if group.number not in wanted.by_cell:
            if group.number not in self._options:
                counts = [len(cell.options) for cell in group.cells]
                options = np.array([n for cell in group.cells for n in cell.options])
                self._options[group.number] = options, np.cumsum([0, *counts[:-1]])
            options, starts = self._options[group.number]
            far = self._stack.nearness.distances(options, features(wanted.layer))
            wanted.by_cell[group.number] = np.minimum.reduceat(far, starts)
        return wanted.by_cell[group.number]

    def _by_distance(self, cell: Cell, wanted: Wanted) -> list[tuple[float, int]]:
        """The cell's layers with their distances, nearest first."""
        if cell.number not in wanted.nearest:
            options = np.array(cell.options)
            far = self._stack.nearness.distances(options, features(wanted.layer))
            order = np.lexsort((options, far))
            wanted.nearest[cell.number] = [(float(far[i]), int(options[i])) for i in order]
        return wanted.nearest[cell.number]

    def _first_legal(
        self, cell: Cell, wanted: Wanted, anchor: LayerDesign | None, context: int
    ) -> tuple[float, int] | None:
        """The nearest layer of the cell that may stand behind this anchor."""
        for far, number in self._by_distance(cell, wanted):
            layer = self._stack.layers[number]
            if layer.independent or (anchor is not None and not layer.misfit(anchor, context)):
                return far, number
        return None

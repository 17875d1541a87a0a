"""Fitting: the layers of a part nearest to wanted ones, legal in sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search_space.chains import Layers
from search_space.layer import LayerDesign
from search_space.layer_values import features
from search_space.stack import Cell, Part, Stack

REMEMBERED = 20_000  # nearest layers of cells


class Fitter:
    """Finds nearest layers in the cells of a stack, and remembers them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._nearest: dict[tuple[int, LayerDesign], list[tuple[float, int]]] = {}

    def nearest(self, cell: Cell, wanted: LayerDesign) -> list[tuple[float, int]]:
        """Distances and layers of the cell, from the nearest to the farthest; at least some."""
        key = (cell.number, wanted)
        if key not in self._nearest:
            if len(self._nearest) > REMEMBERED:
                self._nearest.clear()
            far = self._stack.nearness.distances(cell.options, features(wanted))
            order = np.lexsort((np.array(cell.options), far))
            self._nearest[key] = [(float(far[i]), cell.options[i]) for i in order[:64]]
        return self._nearest[key]

    def fit(self, part: Part, wanted: Sequence[LayerDesign]) -> tuple[float, Layers] | None:
        """The sum of distances and the part's layers; None where none were found.

        Layer by layer: the first of a motif's position chooses the cell for all of them; one that
        leans must suit what was chosen before.
        """
        stack, context, period = self._stack, part.group.context, part.period
        chosen: dict[int, Cell] = {}
        layers: list[int] = []
        total, anchor = 0.0, None
        for i in range(len(wanted)):
            here = wanted[i::period] if i < period else wanted[i : i + 1]
            cells = part.group.cells if i < period else (chosen[i % period],)
            best: tuple[float, float, int, Cell] | None = None
            for cell in cells:
                found = self._first_legal(cell, wanted[i], anchor, context)
                if found is None:
                    continue
                rest = sum(self.nearest(cell, layer)[0][0] for layer in here[1:])
                if best is None or found[0] + rest < best[0]:
                    best = (found[0] + rest, *found, cell)
            if best is None:
                return None
            _, far, number, chosen[i % period] = best
            total += far
            layers.append(number)
            if stack.independent(number):
                anchor = stack.layers[number]
        return total, tuple(layers)

    def _first_legal(
        self, cell: Cell, wanted: LayerDesign, anchor: LayerDesign | None, context: int
    ) -> tuple[float, int] | None:
        """The nearest layer of the cell that may stand behind this anchor."""
        for far, number in self.nearest(cell, wanted):
            layer = self._stack.layers[number]
            if layer.independent or (anchor is not None and not layer.misfit(anchor, context)):
                return far, number
        far = self._stack.nearness.distances(cell.options, features(wanted))
        for i in np.argsort(far, kind="stable"):  # all that is near leans on something else
            layer = self._stack.layers[cell.options[i]]
            if layer.independent or (anchor is not None and not layer.misfit(anchor, context)):
                return float(far[i]), cell.options[i]
        return None

"""Frames: a space cut into parts in which every layer may be chosen on its own.

A frame fixes everything that the layers share. Its group of cells has one cell for each assignment
of the motif axes; a cell lists the legal canonical layers that its per-layer axes then give.
Layers at the same position of the motif (i % period) take their layers from the same cell, so
every choice of cells and of layers from them is a legal design, and they can be counted:
a frame has the product over positions of (the sum over cells of |layers| ** repeats).

One design may be reached in several ways (a shared window counts for nothing where all layers are
dense; a motif of 1 is one of 2): `ways` counts them exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod

from search_space.axes import Axis, combinations, conditions_first, effective
from search_space.axis_config import Value
from search_space.errors import DesignError
from search_space.layer import LayerDesign
from search_space.layer_values import distance, features, layer_of

Layers = tuple[int, ...]  # a design's layers, by their numbers in Frames.layers


@dataclass(frozen=True, eq=False, slots=True)
class Cell:
    """The layers to choose from where shared and motif values are fixed."""

    number: int
    group: int
    motif: Mapping[str, Value]
    options: Layers


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """The cells that differ in motif values only."""

    context: int
    shared: Mapping[str, Value]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One assignment of everything that a design's layers share."""

    width: int
    depth: int
    period: int
    group: Group

    @property
    def values(self) -> Mapping[str, Value]:
        """The shared values by axis name."""
        sizes = {"width": self.width, "depth": self.depth, "period": self.period}
        return {**sizes, "context": self.group.context, **self.group.shared}


class Frames:
    """All frames of a space, with their layers interned as small numbers."""

    def __init__(self, model: Sequence[Axis], layer: Sequence[Axis]) -> None:
        self.layers: list[LayerDesign] = []
        self.features: list[Mapping[str, Value]] = []  # of the layer with the same number
        self.numbers: dict[LayerDesign, int] = {}
        self.cells: list[Cell] = []
        self.groups: list[Group] = []
        self.homes: list[set[int]] = []  # the cells of all contexts that offer a layer
        self._nearest: dict[tuple[int, LayerDesign], tuple[float, int]] = {}
        self._layer_axes = conditions_first(layer)
        self._sizes = {axis.name: [int(value) for value in axis.values] for axis in model}
        for context in self._sizes["context"]:
            self._add_groups(context)
        motif = any(len(group.cells) > 1 for group in self.groups)
        periods = self._sizes["period"] if motif else [1]  # without motif axes they are all alike
        self.periods = {d: sorted({min(p, d) for p in periods}) for d in self._sizes["depth"]}
        self.all = [
            Frame(width, depth, period, group)
            for group in self.groups
            for width in self._sizes["width"]
            for depth in self._sizes["depth"]
            for period in self.periods[depth]
        ]

    def _add_groups(self, context: int) -> None:
        """The distinct groups of one context; those without any legal layer are left out."""
        placed = {
            place: [axis for axis in self._layer_axes if axis.place == place]
            for place in ("shared", "motif", "per-layer")
        }
        known: set[frozenset[frozenset[int]]] = set()
        built: dict[tuple[tuple[str, Value], ...], int | None] = {}
        for shared in combinations(placed["shared"]):
            cells: dict[frozenset[int], tuple[dict[str, Value], Layers]] = {}
            for motif in combinations(placed["motif"]):
                found: dict[int, None] = {}
                for own in combinations(placed["per-layer"]):
                    number = self._number({**shared, **motif, **own}, context, built)
                    if number is not None:
                        found[number] = None
                if found:
                    cells.setdefault(frozenset(found), (motif, tuple(found)))
            if cells and frozenset(cells) not in known:
                known.add(frozenset(cells))
                self._add_group(context, shared, list(cells.values()))

    def _add_group(
        self,
        context: int,
        shared: Mapping[str, Value],
        cells: Sequence[tuple[Mapping[str, Value], Layers]],
    ) -> None:
        start, group = len(self.cells), len(self.groups)
        for number, (motif, options) in enumerate(cells, start):
            self.cells.append(Cell(number, group, motif, options))
            for option in options:
                self.homes[option].add(number)
        self.groups.append(Group(context, shared, tuple(self.cells[start:])))

    def _number(
        self,
        drawn: Mapping[str, Value],
        context: int,
        built: dict[tuple[tuple[str, Value], ...], int | None],
    ) -> int | None:
        """The canonical layer's number, or None where the values are not legal together."""
        values = effective(self._layer_axes, drawn)
        pattern = values["pattern"]
        key = tuple((k, v) for k, v in values.items() if "." not in k or k.split(".")[0] == pattern)
        if key not in built:
            try:
                built[key] = self._intern(layer_of(values).canonical(context))
            except DesignError:
                built[key] = None
        return built[key]

    def _intern(self, layer: LayerDesign) -> int:
        if layer not in self.numbers:
            self.numbers[layer] = len(self.layers)
            self.layers.append(layer)
            self.features.append(features(layer))
            self.homes.append(set())
        return self.numbers[layer]

    @cached_property
    def weights(self) -> list[int]:
        """Ways through each frame."""
        return [self._weight(frame) for frame in self.all]

    def _weight(self, frame: Frame) -> int:
        """Ways through a frame: some positions of its motif come once more than the others."""
        repeats, more = divmod(frame.depth, frame.period)
        often, seldom = (sum(self.cell_weights(frame.group, n)) for n in (repeats + 1, repeats))
        return often**more * seldom ** (frame.period - more)

    @cached_property
    def cumulative(self) -> list[float]:
        """The frames' shares of all ways, summed up to each."""
        total = sum(self.weights)
        return [part / total for part in accumulate(self.weights)]

    def cell_weights(self, group: Group, repeats: int) -> list[int]:
        """Ways to fill this many layers at one position of the motif, for each cell."""
        return [len(cell.options) ** repeats for cell in group.cells]

    @cached_property
    def unambiguous(self) -> bool:
        """Whether no design can be reached in two ways."""
        by_context: dict[int, Counter[int]] = {}
        for cell in self.cells:
            counter = by_context.setdefault(self.groups[cell.group].context, Counter())
            counter.update(cell.options)
        once = all(max(counter.values()) == 1 for counter in by_context.values())
        return once and all(len(periods) == 1 for periods in self.periods.values())

    def cells_at(self, layers: Layers, context: int, period: int) -> list[dict[int, list[Cell]]]:
        """For each position of the motif, the cells that offer its layers, by group."""
        found: list[dict[int, list[Cell]]] = []
        for residue in range(period):
            shared = set.intersection(*(self.homes[n] for n in {*layers[residue::period]}))
            cells: dict[int, list[Cell]] = {}
            for number in shared:
                cell = self.cells[number]
                if self.groups[cell.group].context == context:
                    cells.setdefault(cell.group, []).append(cell)
            if not cells:
                return []
            found.append(cells)
        return found

    def ways(self, layers: Layers, context: int) -> int:
        """In how many ways a design with these layers is reached (its width is no choice)."""
        total = 0
        for period in self.periods[len(layers)]:
            positions = self.cells_at(layers, context, period)
            for group in set.intersection(*map(set, positions)) if positions else ():
                total += prod(len(cells[group]) for cells in positions)
        return total

    def realising(self, width: int, context: int, layers: Layers) -> list[Frame]:
        """The frames in which a design can be built."""
        found: list[Frame] = []
        for period in self.periods.get(len(layers), []) if width in self._sizes["width"] else []:
            positions = self.cells_at(layers, context, period)
            for group in sorted(set.intersection(*map(set, positions))) if positions else ():
                found.append(Frame(width, len(layers), period, self.groups[group]))
        return found

    def nearest(self, cell: Cell, wanted: LayerDesign) -> tuple[float, int]:
        """The cell's layer with the most equal axis values, and how far it is."""
        key = (cell.number, wanted)
        if key not in self._nearest:
            if len(self._nearest) > 200_000:
                self._nearest.clear()
            self._nearest[key] = self._find_nearest(cell, wanted)
        return self._nearest[key]

    def _find_nearest(self, cell: Cell, wanted: LayerDesign) -> tuple[float, int]:
        known = self.numbers.get(wanted)
        if known is not None and cell.number in self.homes[known]:
            return 0.0, known
        values = features(wanted)
        return min((distance(self.features[n], values), n) for n in cell.options)

    def fit(self, frame: Frame, wanted: Sequence[LayerDesign]) -> tuple[float, Layers]:
        """The frame's layers nearest to the wanted ones, and the sum of their distances."""
        layers, total = [0] * frame.depth, 0.0
        for residue in range(frame.period):
            here = wanted[residue :: frame.period]
            fits = ([self.nearest(cell, layer) for layer in here] for cell in frame.group.cells)
            best = min(fits, key=lambda fit: sum(far for far, _ in fit))
            total += sum(far for far, _ in best)
            layers[residue :: frame.period] = [number for _, number in best]
        return total, tuple(layers)

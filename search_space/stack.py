"""Stack: the layers that one kind of attention in a space may be made of.

A group fixes everything that the layers of a stack share. It has one cell for each assignment of
the motif axes; a cell lists the legal canonical layers that its per-layer axes then give. Layers
at the same position of the motif (i % period) take their layers from the same cell.

One sequence of layers may be reached in several ways (a shared window counts for nothing where all
layers are dense; a motif of 1 is one of 2): `ways` counts them exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from search_space.axes import StackAxes, assignments
from search_space.axis_config import Value
from search_space.chains import Layers, Takers
from search_space.deployability import layer_refusals
from search_space.errors import DesignError
from search_space.layer import LayerDesign
from search_space.layer_values import features, layer_of
from search_space.nearness import Nearness
from search_space.patterns import Kind


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

    number: int
    context: int
    shared: Mapping[str, Value]
    cells: tuple[Cell, ...]
    leaning: bool  # whether some option takes something from an earlier layer

    @property
    def options(self) -> set[int]:
        """The layers of all cells."""
        return {option for cell in self.cells for option in cell.options}


class Stack:
    """The groups of a stack at every context, with its layers interned as small numbers."""

    def __init__(self, axes: StackAxes, contexts: Sequence[int], deploy: Sequence[str]) -> None:
        self.name, self.axes, self.deploy = axes.name, axes, deploy
        self.kind: Kind = axes.kind
        self.layers: list[LayerDesign] = []
        self.numbers: dict[LayerDesign, int] = {}
        self.homes: list[set[int]] = []  # the cells of all contexts that offer a layer
        self.cells: list[Cell] = []
        self.groups: list[Group] = []
        self._families: dict[int, dict[str, dict[str, list[int]]]] = {}
        for context in contexts:
            self._add_groups(context)
        motif = any(len(group.cells) > 1 for group in self.groups)
        periods = [int(p) for p in axes.period.values] if motif else [1]
        depths = [int(depth) for depth in axes.depth.values]
        self.periods = {d: sorted({min(p, d) for p in periods}) for d in depths}
        self.nearness = Nearness([features(layer) for layer in self.layers])

    def _add_groups(self, context: int) -> None:
        """The distinct groups of one context; those without any legal first layer are left out."""
        ordered = self.axes.layer
        known: set[frozenset[frozenset[int]]] = set()
        built: dict[tuple[tuple[str, Value], ...], int | None] = {}
        for shared, _ in assignments(ordered, {}, ("shared",)):
            cells: dict[frozenset[int], tuple[dict[str, Value], Layers]] = {}
            for drawn, _ in assignments(ordered, shared, ("motif",)):
                found: dict[int, None] = {}
                for _, values in assignments(ordered, drawn, ("per-layer",)):
                    number = self._number(values, context, built)
                    if number is not None:
                        found[number] = None
                if found:
                    motif = {name: drawn[name] for name in drawn if name not in shared}
                    cells.setdefault(frozenset(found), (motif, tuple(found)))
            offers_first = any(self.independent(n) for cell in cells for n in cell)
            if offers_first and frozenset(cells) not in known:
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
        mine = tuple(self.cells[start:])
        leaning = any(not self.independent(n) for cell in mine for n in cell.options)
        self.groups.append(Group(group, context, shared, mine, leaning))

    def _number(
        self,
        values: Mapping[str, Value],
        context: int,
        built: dict[tuple[tuple[str, Value], ...], int | None],
    ) -> int | None:
        """The canonical layer's number, or None where the values are not legal together."""
        key = tuple(values.items())
        if key not in built:
            built[key] = None
            try:
                layer = layer_of(values, self.kind).canonical(context)
            except DesignError:
                return None
            if not any(layer_refusals(layer, target) for target in self.deploy):
                built[key] = self._intern(layer)
        return built[key]

    def _intern(self, layer: LayerDesign) -> int:
        if layer not in self.numbers:
            self.numbers[layer] = len(self.layers)
            self.layers.append(layer)
            self.homes.append(set())
        return self.numbers[layer]

    def independent(self, number: int) -> bool:
        """Whether a layer takes nothing from an earlier one."""
        return self.layers[number].independent

    def takers_among(self, options: Layers, context: int) -> Takers:
        """For an anchor, the leaning ones among the options that suit it."""
        tied: dict[LayerDesign, int] = {}
        reusing: dict[object, dict[object, list[int]]] = {}  # by keys wanted, then by patterns
        for number in options:
            layer = self.layers[number]
            if layer.tied:
                tied[replace(layer, tied=False)] = number
            elif not layer.independent:
                patterns = reusing.setdefault(layer.keys, {})
                patterns.setdefault(layer.parts, []).append(number)
        known: dict[object, Layers] = {}

        def reused(anchor: LayerDesign) -> Layers:
            found: list[int] = []
            for numbers in reusing.get(anchor.keys, {}).values():
                if not self.layers[numbers[0]].misfit(anchor, context):
                    found += numbers
            return tuple(found)

        def takers(anchor: int) -> Layers:
            layer = self.layers[anchor]
            offer = (layer.keys, layer.parts)
            if offer not in known:
                known[offer] = reused(layer)
            return (*known[offer], tied[layer]) if layer in tied else known[offer]

        return takers

    def legal(self, layers: Layers, context: int) -> bool:
        """Whether every leaning layer suits its anchor."""
        anchor: int | None = None
        for number in layers:
            if self.independent(number):
                anchor = number
            elif anchor is None or self.layers[number].misfit(self.layers[anchor], context):
                return False
        return True

    @cached_property
    def unambiguous(self) -> bool:
        """Whether no sequence of layers can be reached in two ways."""
        by_context: dict[int, Counter[int]] = {}
        for group in self.groups:
            counter = by_context.setdefault(group.context, Counter())
            for offer in group.cells if group.leaning else (group,):
                counter.update(offer.options)
        once = all(max(counter.values()) == 1 for counter in by_context.values())
        return once and all(len(periods) == 1 for periods in self.periods.values())

    def cells_at(self, layers: Layers, context: int, period: int) -> list[dict[int, list[Cell]]]:
        """For each position of the motif, the cells that offer its layers, by group."""
        found: list[dict[int, list[Cell]]] = []
        for residue in range(period):
            shared = set.intersection(*(self.homes[n] for n in {*layers[residue::period]}))
            cells: dict[int, list[Cell]] = {}
            for number in sorted(shared):
                cell = self.cells[number]
                if self.groups[cell.group].context == context:
                    cells.setdefault(cell.group, []).append(cell)
            if not cells:
                return []
            found.append(cells)
        return found

    def ways(self, layers: Layers, context: int) -> int:
        """In how many ways a sequence of layers is reached."""
        return sum(self._ways_through(part, layers) for part in self.realising(layers, context))

    def _ways_through(self, part: Part, layers: Layers) -> int:
        """Ways through one part: its cells count where they are chosen before the layers."""
        if not part.group.leaning:
            return 1
        return prod(len(cells) for cells in part.cells_of(layers))

    def realising(self, layers: Layers, context: int) -> list[Part]:
        """The parts in which a sequence of layers can be built."""
        found: list[Part] = []
        for period in self.periods.get(len(layers), []):
            positions = self.cells_at(layers, context, period)
            for group in sorted(set.intersection(*map(set, positions))) if positions else ():
                found.append(Part(self, len(layers), period, self.groups[group]))
        return found

    @property
    def depth_name(self) -> str:
        """What its number of layers is called in the YAML."""
        return "encoder.depth" if self.axes.depth.location[0] == "encoder" else "depth"

    def features(self, number: int) -> Mapping[str, Value]:
        """The named values of a layer."""
        return features(self.layers[number])

    def families(self, cell: Cell) -> dict[str, dict[str, list[int]]]:
        """The layers of a cell by pattern, then by where keys and weights come from."""
        if cell.number not in self._families:
            found: dict[str, dict[str, list[int]]] = {}
            for number in cell.options:
                layer = self.layers[number]
                source = "tied" if layer.tied else layer.sharing.name
                found.setdefault(layer.pattern.name, {}).setdefault(source, []).append(number)
            self._families[cell.number] = found
        return self._families[cell.number]

    def numbers_of(self, layers: Sequence[LayerDesign]) -> Layers | None:
        """The layers by number; None where the stack does not know one of them."""
        found = [self.numbers.get(layer) for layer in layers]
        return None if None in found else tuple(n for n in found if n is not None)


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """One assignment of everything that the layers of a stack share."""

    stack: Stack
    depth: int
    period: int
    group: Group

    @property
    def values(self) -> Mapping[str, Value]:
        """The shared values by axis name."""
        return {"depth": self.depth, "period": self.period, **self.group.shared}

    def cells_of(self, layers: Layers) -> list[list[Cell]]:
        """For each position of the motif, the part's cells that offer the layers there."""
        positions = self.stack.cells_at(layers, self.group.context, self.period)
        return [cells[self.group.number] for cells in positions]

"""Variables: a space as a flat list of named choices, for tuners that know nothing of layers.

Every combination of values is a design: one that the space does not have is taken to the nearest
that it has. So a tuner needs no constraints (rejecting would leave it almost nothing to learn
from), and axes stay axes: what it learns about `layer 3 kv_heads` is about that.

    width, context, depth, period       (of an encoder: `encoder depth`, ...)
    kv_heads                            shared by all layers
    motif 0 pattern                     at one position of the motif
    layer 0 sliding-window.window       of one layer; says nothing where the pattern is another
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from search_space.axes import Axis, assignments
from search_space.axis_config import Value
from search_space.chains import Layers
from search_space.design import Design
from search_space.errors import DesignError
from search_space.frames import Frame
from search_space.layer import LayerDesign
from search_space.layer_values import layer_of
from search_space.moves import fitted
from search_space.stack import Part, Stack

if TYPE_CHECKING:
    from search_space.space import Space

MOST_FRAMES = 64  # compared for one assignment


class Variables:
    """The flat view of a space, both ways."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.choices: dict[str, tuple[Value, ...]] = {}
        for axis in space.size_axes:
            self._add(axis.name, axis)
        for stack in space.stacks:
            self._add_stack(stack)
        self._drawn: dict[tuple[str, int], dict[int, Mapping[str, Value]]] = {}

    def _add(self, name: str, axis: Axis) -> None:
        if len(axis.values) > 1:
            self.choices[name] = axis.values

    def _add_stack(self, stack: Stack) -> None:
        prefix = self._prefix(stack)
        if stack.name != "cross":
            self._add(f"{prefix}depth", stack.axes.depth)
        self._add(f"{prefix}period", stack.axes.period)
        longest = max(period for periods in stack.periods.values() for period in periods)
        counts = {"shared": 1, "motif": longest, "per-layer": max(stack.periods)}
        for axis in stack.axes.layer:
            for index in range(counts[axis.place]):
                self._add(prefix + _name(axis, index), axis)

    def _prefix(self, stack: Stack) -> str:
        main = "encoder" if self._space.config.kind == "encoder" else "decoder"
        return "" if stack.name == main else f"{stack.name} "

    def design_of(self, values: Mapping[str, Value]) -> Design:
        """The design that the values describe, or the nearest that the space has.

        Raises DesignError where constraints leave nothing near it.
        """
        space, chosen = self._space, {**self._fixed(), **values}
        depths = self._depths(chosen)
        wanted: list[list[LayerDesign]] = []
        for stack in space.stacks:
            context = int(chosen["context"])
            layers = [self._layer(stack, chosen, i, context) for i in range(depths[stack.name])]
            wanted.append(layers)
        frames = sorted(space.frames.possible, key=lambda frame: self._away(frame, chosen))
        best = None
        for frame in frames[:MOST_FRAMES]:
            away = self._away(frame, chosen)
            if best is not None and away > best[0]:
                break
            found = fitted(space, frame, wanted)
            if found is not None and (best is None or (away, found[0]) < best[:2]):
                best = (away, found[0], space.build(frame, found[1]))
        if best is None:
            raise DesignError("no design of the space is near these values")
        return space.nearest(best[2])

    def values_of(self, design: Design) -> dict[str, Value]:
        """A value for every variable, of a design of the space; what it lacks has the first."""
        space, design = self._space, design.canonical()
        frames = space.realising(design)
        if not frames:
            reasons = "; ".join(space.contains(design))
            raise DesignError(f"the design is not of the space: {reasons}")
        frame, choice = frames[0], space.choice_of(design)
        assert choice is not None
        found: dict[str, Value] = {"width": frame.width, "context": frame.context}
        for part, layers in zip(frame.parts, choice, strict=True):
            prefix = self._prefix(part.stack)
            found |= {prefix + name: value for name, value in self._part_values(part, layers)}
        return {name: found.get(name, values[0]) for name, values in self.choices.items()}

    def _part_values(self, part: Part, layers: Layers) -> Iterator[tuple[str, Value]]:
        yield "depth", part.depth
        yield from (("period", p) for p in self._written_periods(part))
        yield from part.group.shared.items()
        cells = [options[0] for options in part.cells_of(layers)]
        for residue, cell in enumerate(cells):
            yield from ((f"motif {residue} {name}", value) for name, value in cell.motif.items())
        for i, number in enumerate(layers):
            cell = cells[i % part.period]
            key = (part.stack.name, cell.number)
            if key not in self._drawn:
                self._drawn[key] = _own_values(part, cell.motif)
            yield from ((f"layer {i} {n}", v) for n, v in self._drawn[key][number].items())

    @staticmethod
    def _written_periods(part: Part) -> list[Value]:
        """The value of the period axis that gives the part's, cut to its depth as it may be."""
        axis = part.stack.axes.period
        return [p for p in axis.values if min(int(p), part.depth) == part.period][:1]

    def _fixed(self) -> dict[str, Value]:
        """Sizes that do not vary."""
        fixed = {axis.name: axis.values[0] for axis in self._space.size_axes}
        for stack in self._space.stacks:
            prefix = self._prefix(stack)
            fixed[f"{prefix}depth"] = stack.axes.depth.values[0]
            fixed[f"{prefix}period"] = stack.axes.period.values[0]
        return fixed

    def _depths(self, chosen: Mapping[str, Value]) -> dict[str, int]:
        found = {s.name: int(chosen[f"{self._prefix(s)}depth"]) for s in self._space.stacks}
        return found | ({"cross": found["decoder"]} if "cross" in found else {})

    def _layer(
        self, stack: Stack, chosen: Mapping[str, Value], index: int, context: int
    ) -> LayerDesign:
        """The layer that the values describe; where they are illegal together, one near it."""
        prefix = self._prefix(stack)
        residue = index % int(chosen[f"{prefix}period"])
        drawn = {
            axis.name: chosen.get(prefix + _name(axis, index, residue), axis.values[0])
            for axis in stack.axes.layer
        }
        (_, values), *_ = assignments(stack.axes.layer, drawn, ())
        try:
            return layer_of(values, stack.kind).canonical(context)
        except DesignError:
            far = stack.nearness.distances(range(len(stack.layers)), values)
            return stack.layers[int(np.argmin(far))]

    def _away(self, frame: Frame, chosen: Mapping[str, Value]) -> int:
        """How many of the sizes and shared values differ."""
        values = {"width": frame.width, "context": frame.context}
        away = sum(chosen[name] != value for name, value in values.items())
        for part in frame.parts:
            prefix = self._prefix(part.stack)
            wanted = min(int(chosen[f"{prefix}period"]), part.depth)
            away += part.stack.name != "cross" and chosen[f"{prefix}depth"] != part.depth
            away += len(part.group.cells) > 1 and wanted != part.period
            away += sum(
                prefix + name in chosen and chosen[prefix + name] != value
                for name, value in part.group.shared.items()
            )
        return away


def _name(axis: Axis, index: int, residue: int | None = None) -> str:
    if axis.place == "shared":
        return axis.name
    if axis.place == "motif":
        return f"motif {index if residue is None else residue} {axis.name}"
    return f"layer {index} {axis.name}"


def _own_values(part: Part, motif: Mapping[str, Value]) -> dict[int, Mapping[str, Value]]:
    """For each layer of a cell, per-layer values that give it."""
    stack, given = part.stack, {**part.group.shared, **motif}
    found: dict[int, Mapping[str, Value]] = {}
    for drawn, values in assignments(stack.axes.layer, given, ("per-layer",)):
        try:
            layer = layer_of(values, stack.kind).canonical(part.group.context)
        except DesignError:
            continue
        own = {name: value for name, value in drawn.items() if name not in given}
        if layer in stack.numbers:
            found.setdefault(stack.numbers[layer], own)
    return found

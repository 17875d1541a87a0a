"""Encoding: designs as vectors of numbers in 0..1, and a kernel over designs made from them.

For each axis that varies: a number by its logarithm between the least and the most that the space
has, a name as one column per name (1 or 0). Layers come at their relative height, so that designs
of different depth have vectors of equal length; beside them the mean over layers, which is what
many costs and much of quality depend on. The kernel exp(-sum of relevance * |difference|) is
positive definite: for names it is the Hamming kernel, for numbers the exponential one, as in
other surrogates for architecture search (Ru et al. 2020, arXiv:2006.07556).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from search_space.axis_config import Value
from search_space.design import Design
from search_space.layer import LayerDesign
from search_space.layer_values import features
from search_space.patterns import Kind
from search_space.stack import Stack

if TYPE_CHECKING:
    from search_space.space import Space

Vectors = npt.NDArray[np.float64]


class Column:
    """One number of a layer's vector: an axis scaled to 0..1, or whether it has a name."""

    def __init__(self, axis: str, low: float, high: float, name: str | None = None) -> None:
        self.axis, self.name = axis, name
        self._low, self._high = low, high

    @property
    def label(self) -> str:
        """`kv_heads`, or `pattern=dense`."""
        return self.axis if self.name is None else f"{self.axis}={self.name}"

    def of(self, values: Mapping[str, Value]) -> float:
        """The number for these features; a half where the layer does not have the axis."""
        value = values.get(self.axis)
        if self.name is not None:
            return float(value == self.name)
        if value is None or isinstance(value, str):
            return 0.5
        share = (_log(value) - self._low) / (self._high - self._low)
        return min(1.0, max(0.0, share))  # designs from outside the space


class StackEncoding:
    """The layers of one stack as columns."""

    def __init__(self, stack: Stack) -> None:
        self.name = stack.name
        self.kind: Kind = stack.kind
        self.depth = max(stack.periods)
        self._columns = columns_of([features(layer) for layer in stack.layers])
        self._known: dict[LayerDesign, Vectors] = {}
        heights = range(self.depth) if self.depth > 1 else ()
        self.labels = [(f"mean {c.label}", c.axis) for c in self._columns]
        self.labels += [(f"layer {i} {c.label}", c.axis) for i in heights for c in self._columns]

    def encode(self, design: Design) -> Vectors:
        """Means over the layers, then the layers by height."""
        layers = design.stack(self.kind)
        if not layers:
            return np.full(len(self.labels), 0.5)
        table = np.array([self._layer(layer) for layer in layers])  # (layers, columns)
        table = table.reshape(len(layers), len(self._columns))
        if self.depth == 1:
            return table.mean(axis=0)
        heights = [i * len(layers) // self.depth for i in range(self.depth)]
        return np.concatenate([table.mean(axis=0), table[heights].ravel()])

    def _layer(self, layer: LayerDesign) -> Vectors:
        if layer not in self._known:
            values = features(layer)
            self._known[layer] = np.array([column.of(values) for column in self._columns])
        return self._known[layer]


class Encoding:
    """Designs of a space as rows of a matrix."""

    def __init__(self, space: Space) -> None:
        sizes = {axis.name: axis.values for axis in space.size_axes}
        sizes |= {s.depth_name: tuple(s.periods) for s in space.stacks if s.name != "cross"}
        self._sizes = columns_of([{n: v} for n, values in sizes.items() for v in values])
        self._stacks = [StackEncoding(stack) for stack in space.stacks]
        self.names = [column.label for column in self._sizes]
        self.groups = [column.axis for column in self._sizes]  # what a relevance is for
        weights = [1.0] * len(self._sizes)
        for stack in self._stacks:
            prefix = f"{stack.name} " if len(self._stacks) > 1 else ""
            for label, axis in stack.labels:
                mean = label.startswith("mean")
                self.names.append(prefix + label)
                self.groups.append(f"{prefix}{'mean ' if mean else ''}{axis}")
                weights.append(1.0 if mean else 1.0 / stack.depth)
        self._weights = np.array(weights)

    def encode(self, designs: Sequence[Design]) -> Vectors:
        """One row of numbers in 0..1 per design: (designs, names)."""
        rows = np.array([self._row(design) for design in designs])
        return rows.reshape(len(designs), len(self.names))

    def _row(self, design: Design) -> Vectors:
        depths = {s.name: len(design.stack(s.kind)) for s in self._stacks}
        encoder = "encoder.depth" if len(self._stacks) > 1 else "depth"
        values: dict[str, Value] = {"width": design.width, "context": design.context}
        values[encoder] = depths.get("encoder", 0)
        values["depth"] = depths.get("decoder", depths.get("encoder", 0))
        sizes = np.array([column.of(values) for column in self._sizes])
        return np.concatenate([sizes, *(stack.encode(design) for stack in self._stacks)])

    def kernel(
        self, a: Vectors, b: Vectors, relevance: Mapping[str, float] | None = None
    ) -> Vectors:
        """Similarities in 0..1 of encoded designs, (rows of a, rows of b).

        `relevance` by group, 1 where it is missing; layers at all heights share one. A single
        layer counts as much as its share of the depth.
        """
        given = relevance or {}
        scale = self._weights * np.array([given.get(group, 1.0) for group in self.groups])
        far = np.zeros((len(a), len(b)))
        for start in range(0, len(a), 64):  # a block of rows at a time, to bound memory
            rows = a[start : start + 64, None, :]
            far[start : start + 64] = (np.abs(rows - b[None, :, :]) * scale).sum(axis=2)
        return np.exp(-far)


def columns_of(table: Sequence[Mapping[str, Value]]) -> list[Column]:
    """A column for each number or name that varies."""
    found: list[Column] = []
    for axis in dict.fromkeys(name for row in table for name in row):
        values = list(dict.fromkeys(row[axis] for row in table if axis in row))
        numbers = [_log(value) for value in values if not isinstance(value, str)]
        names = [value for value in values if isinstance(value, str)]
        if len(set(numbers)) > 1:
            found.append(Column(axis, min(numbers), max(numbers)))
        if len(names) > 1:
            found += [Column(axis, 0, 1, name) for name in names]
    return found


def _log(value: float) -> float:
    return math.log1p(value) if value >= 0 else -math.log1p(-value)

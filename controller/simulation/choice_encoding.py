"""Encoding of choices: points as rows of numbers in 0..1, as designs are encoded.

A number is one column between the least and the most of its axis, a text one column per value.
Of layers there are the mean over those that are active, and each at its relative height, so that
points of different depth align (search_space/encoding.py does this for designs).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from controller.simulation.choice_axes import Axes, Codes, is_ordered
from search_space.axis_config import Value

Vectors = npt.NDArray[np.float64]
SPREAD = 4  # numbers that span this factor or more are scaled by their logarithm


class ChoiceEncoding:
    """A table of columns per axis, looked up for many points at once."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._shared = [(at, columns(axes.values[at])) for at in axes.shared if axes.counts[at] > 1]
        self._families = [
            (np.array(own), columns(axes.values[own[0]]))
            for own in axes.families.values()
            if own and axes.counts[own[0]] > 1
        ]
        deepest = max(1, axes.deepest)
        depths, layers = np.array(axes.depths)[:, None], np.arange(deepest)
        self._heights = layers * depths // deepest  # (depth code, layer)
        self._active = (layers < depths) / np.maximum(depths, 1)  # (depth code, layer)
        self.groups = [axes.names[at] for at, table in self._shared for _ in range(table.shape[1])]
        for own, table in self._families:
            family = axes.names[own[0]].rpartition(".")[0]
            self.groups += [f"mean {family}"] * table.shape[1]
            self.groups += [family] * (table.shape[1] * deepest if deepest > 1 else 0)

    def encode(self, points: Sequence[Codes]) -> Vectors:
        """(points, columns)"""
        codes = np.array(points, dtype=int).reshape(len(points), len(self._axes.names))
        at = self._axes.depth_at
        depth = np.zeros(len(codes), dtype=int) if at is None else codes[:, at]
        parts = [table[codes[:, own]] for own, table in self._shared]
        for own, table in self._families:
            layers = table[codes[:, own]]  # (points, layers, columns)
            parts.append(np.einsum("nlc,nl->nc", layers, self._active[depth]))
            if len(own) > 1:
                aligned = np.take_along_axis(layers, self._heights[depth][:, :, None], axis=1)
                parts.append(aligned.reshape(len(codes), len(own) * table.shape[1]))
        return np.hstack(parts) if parts else np.zeros((len(codes), 0))


def columns(values: Sequence[Value]) -> Vectors:
    """For each value its columns: (values, 1) of numbers, (values, values) of texts."""
    if not is_ordered(values):
        return np.eye(len(values))
    numbers = [float(value) for value in values]
    if numbers[0] > 0 and numbers[-1] >= SPREAD * numbers[0]:
        numbers = [math.log(number) for number in numbers]
    scaled = (np.array(numbers) - numbers[0]) / (numbers[-1] - numbers[0])
    return scaled[:, None]

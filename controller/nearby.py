"""Nearby: a candidate of another space, as near as this space has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from controller.candidates import Candidate
from search_space import Design, DesignError, Space
from search_space.axis_config import Value
from search_space.layer_values import features, layer_of


def nearby(space: Space, own: Mapping[str, Value], candidate: Candidate) -> Candidate:
    """Its design and its settings, each as near as may be; `own` stands in for missing settings.

    The space's own measure of nearness counts values that differ, so that for it a sliding window
    of another width is as far as none at all. Numbers are taken to the nearest ones first.
    """
    design = space.nearest(_with_near_numbers(space, candidate.design))
    given = dict(candidate.settings)
    settings = (
        (name, nearest_value(values, given.get(name, own[name])))
        for name, values in sorted(space.settings.items())
    )
    return Candidate(design, tuple(settings))


def nearest_value(values: Sequence[Value], wanted: Value) -> Value:
    """The value itself, else the number that is nearest by ratio, else the first."""
    if wanted in values:
        return wanted
    numbers = [value for value in values if not isinstance(value, str) and value > 0]
    if isinstance(wanted, str) or wanted <= 0 or not numbers:
        return values[0]
    return min(numbers, key=lambda value: abs(math.log(float(value) / float(wanted))))


def _with_near_numbers(space: Space, design: Design) -> Design:
    """Layers with the numbers that the space has; those that would be illegal as they are."""
    offered = {
        stack.kind: {axis.name: axis.values for axis in stack.axes.layer} for stack in space.stacks
    }
    layers = []
    for layer in design.layers:
        known = offered.get(layer.kind, {})
        values = {
            name: value
            if isinstance(value, str) or name not in known
            else nearest_value(known[name], value)
            for name, value in features(layer).items()
        }
        try:
            layers.append(layer_of(values, layer.kind))
        except DesignError:
            layers.append(layer)
    try:
        return replace(design, layers=tuple(layers))
    except DesignError:
        return design

"""A layer as named values and back: the one place where spaces know what a layer is made of.

Everything else about spaces works on axis names, so a new element of the language is added here
and in the YAML's model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import cast

from search_space.axis_config import Value
from search_space.heads import Heads
from search_space.layer import LayerDesign
from search_space.patterns import PATTERNS, AnyPattern
from search_space.positions import Rotary

LAYER_AXES = ("query_heads", "kv_heads", "head_dim", "rotary_base", "pattern")


def layer_of(values: Mapping[str, Value]) -> LayerDesign:
    """The layer with these values; DesignError where they are not legal together."""
    name = str(values["pattern"])
    make = cast(Callable[..., AnyPattern], PATTERNS[name])
    parameters = {
        f.name: values[f"{name}.{f.name}"]
        for f in fields(PATTERNS[name])
        if f"{name}.{f.name}" in values
    }
    heads = Heads(int(values["query_heads"]), int(values["kv_heads"]), int(values["head_dim"]))
    return LayerDesign(heads, make(**parameters), Rotary(float(values["rotary_base"])))


def features(layer: LayerDesign) -> Mapping[str, Value]:
    """The named values of a layer, those of its own pattern only."""
    pattern = layer.pattern
    return {
        "query_heads": layer.heads.query,
        "kv_heads": layer.heads.kv,
        "head_dim": layer.heads.dim,
        "rotary_base": layer.position.base,
        "pattern": pattern.name,
        **{f"{pattern.name}.{f.name}": getattr(pattern, f.name) for f in fields(pattern)},
    }


def differences(a: Mapping[str, Value], b: Mapping[str, Value]) -> list[str]:
    """Axes on which the features of two layers differ; those that one of them lacks don't count."""
    return [name for name in a if name in b and a[name] != b[name]]


def distance(a: Mapping[str, Value], b: Mapping[str, Value]) -> float:
    """Number of differing axes; a tie goes to the nearer numbers, by ratio."""
    total = 0.0
    for name in differences(a, b):
        x, y = a[name], b[name]
        total += 1
        if not isinstance(x, str) and not isinstance(y, str) and min(x, y) > 0:
            ratio = abs(math.log(x / y))
            total += 0.01 * ratio / (1 + ratio)
    return total

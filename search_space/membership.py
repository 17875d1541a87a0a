"""Membership: why a design does not belong to a space, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_space.design import Design
from search_space.layer import LayerDesign
from search_space.layer_values import features
from search_space.stack import Stack
from search_space.validation import or_list

if TYPE_CHECKING:
    from search_space.space import Space


def reasons_outside(space: Space, design: Design) -> list[str]:
    """Reasons why the design is not of the space; none where it is."""
    design = design.canonical()
    if space.realising(design):
        return space.violations(design)
    if design.kind != space.config.kind:
        return [f"the design is of kind {design.kind}, but the space of kind {space.config.kind}"]
    found: list[str] = []
    values = {"width": design.width, "context": design.context}
    values |= {s.depth_name: len(design.stack(s.kind)) for s in space.stacks if s.name != "cross"}
    offered = {axis.name: axis for axis in space.size_axes}
    offered |= {s.depth_name: s.axes.depth for s in space.stacks}
    for name, value in values.items():
        if value not in offered[name].values:
            known = or_list(offered[name].values)
            found.append(f"{name} is {value}, but the space has {known}")
    for stack in space.stacks:
        found += _strange_layers(stack, design)
    return found or [_not_together(space, design)]


def _strange_layers(stack: Stack, design: Design) -> list[str]:
    """Layers of the design that no cell of the stack offers."""
    offered = {
        stack.layers[number]
        for group in stack.groups
        if group.context == design.context
        for cell in group.cells
        for number in cell.options
    }
    if not offered:
        return []
    where: dict[LayerDesign, list[int]] = {}
    for index, layer in enumerate(design.layers):
        if layer.kind == stack.kind and layer not in offered:
            where.setdefault(layer, []).append(index)
    return [
        f"layer{'s' if len(at) > 1 else ''} {', '.join(map(str, at))}: {_why_not(layer, offered)}"
        for layer, at in where.items()
    ]


def _why_not(layer: LayerDesign, offered: set[LayerDesign]) -> str:
    """The axis values that no layer of the space has, or else that they do not go together."""
    table = [features(other) for other in offered]
    alone: list[str] = []
    for name, value in features(layer).items():
        known = {row[name] for row in table if name in row}
        if known and value not in known:
            listed = sorted(known, key=lambda v: (isinstance(v, str), v))
            alone.append(f"{name} is {value}, but the space has {or_list(listed)}")
    if alone:
        return " and ".join(alone)
    return f"{layer.describe()} combines values that the space does not offer together"


def _not_together(space: Space, design: Design) -> str:
    """Each layer fits, but some shared or repeated axis would need two values at once."""
    motif: set[str] = set()
    for stack in space.stacks:
        motif |= {axis.name for axis in stack.axes.layer if axis.place == "motif"}
        values = [features(layer) for layer in design.stack(stack.kind)]
        for name in sorted(axis.name for axis in stack.axes.layer if axis.place == "shared"):
            seen = list(dict.fromkeys(v[name] for v in values if name in v))
            if len(seen) > 1:
                return f"{name} is shared by all layers, but got {' and '.join(map(str, seen))}"
    names = f" ({or_list(sorted(motif))})" if motif else ""
    return (
        "each layer is one of the space's, but no period and shared values give them "
        f"together; check what the motif repeats{names}"
    )

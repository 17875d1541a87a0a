"""Membership: why a design does not belong to a space, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_space.design import Design
from search_space.layer import LayerDesign
from search_space.layer_values import features
from search_space.validation import or_list

if TYPE_CHECKING:
    from search_space.space import Space


def reasons_outside(space: Space, design: Design) -> list[str]:
    """Reasons why the design is not of the space; none where it is."""
    design = design.canonical()
    if space.realising(design):
        return space.violations(design)
    found: list[str] = []
    for axis in space.model_axes[:3]:
        value = getattr(design, axis.name)
        if value not in axis.values:
            found.append(f"{axis.name} is {value}, but the space has {or_list(axis.values)}")
    offered = _offered(space, design.context)
    if offered:
        where: dict[LayerDesign, list[int]] = {}
        for index, layer in enumerate(design.layers):
            if layer not in offered:
                where.setdefault(layer, []).append(index)
        for layer, at in where.items():
            places = f"layer{'s' if len(at) > 1 else ''} {', '.join(map(str, at))}"
            found.append(f"{places}: {_why_not(layer, offered)}")
    return found or [_not_together(space, design)]


def _offered(space: Space, context: int) -> set[LayerDesign]:
    """Every layer that some cell of this context offers."""
    frames = space.frames
    return {
        frames.layers[number]
        for group in frames.groups
        if group.context == context
        for cell in group.cells
        for number in cell.options
    }


def _why_not(layer: LayerDesign, offered: set[LayerDesign]) -> str:
    """The axis values that no layer of the space has, or else that they do not go together."""
    values = features(layer)
    alone: list[str] = []
    for name, value in values.items():
        known = sorted({features(o)[name] for o in offered if name in features(o)}, key=str)
        if value not in known and known:
            known = sorted(known, key=lambda v: (isinstance(v, str), v))
            alone.append(f"{name} is {value}, but the space has {or_list(known)}")
    if alone:
        return " and ".join(alone)
    return f"{layer.describe()} combines values that the space does not offer together"


def _not_together(space: Space, design: Design) -> str:
    """Each layer fits, but some shared or repeated axis would need two values at once."""
    shared = {axis.name for axis in space.layer_axes if axis.place == "shared"}
    motif = {axis.name for axis in space.layer_axes if axis.place == "motif"}
    values = [features(layer) for layer in design.layers]
    for name in sorted(shared):
        seen = list(dict.fromkeys(v[name] for v in values if name in v))
        if len(seen) > 1:
            return f"{name} is shared by all layers, but got {' and '.join(map(str, seen))}"
    names = f" ({or_list(sorted(motif))})" if motif else ""
    return (
        "each layer is one of the space's, but no period and shared values give them "
        f"together; check what the motif repeats{names}"
    )

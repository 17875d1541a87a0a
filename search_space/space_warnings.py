"""Warnings: what is legal in a space but probably not meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from search_space.axes import combinations, conditions_first, effective
from search_space.axis_config import Value
from search_space.errors import DesignError
from search_space.layer_values import layer_of
from search_space.sampling import draw
from search_space.strict_yaml import dotted
from search_space.validation import or_list

if TYPE_CHECKING:
    from search_space.space import Space

SAMPLES = 1_000
REMOVES_TOO_MUCH = 0.99


def space_warnings(space: Space) -> list[str]:
    """One sentence each: lone or unused values, idle conditions, tight constraints."""
    found = [
        f"`{dotted(axis.location)}` is written as an axis but has one value, {axis.values[0]}"
        for axis in [*space.model_axes, *space.layer_axes]
        if axis.written_as_axis and len(axis.values) == 1 and not axis.when
    ]
    return [*found, *_unused(space), *_placed_without_motif(space), *_tight_constraints(space)]


def _unused(space: Space) -> list[str]:
    """Values in no legal layer, and conditions that never, or always, hold."""
    ordered = conditions_first(space.layer_axes)
    used: dict[str, set[Value]] = {axis.name: set() for axis in ordered}
    held: dict[str, set[bool]] = {axis.name: set() for axis in ordered}
    for drawn in combinations(ordered):
        values = effective(ordered, drawn)
        try:
            layer_of(values)
        except DesignError:
            continue
        for axis in ordered:
            holds = all(values[name] in wanted for name, wanted in axis.when.items())
            held[axis.name].add(holds)
            if holds:
                used[axis.name].add(values[axis.name])
    found: list[str] = []
    for axis in ordered:
        where = f"`{dotted(axis.location)}`"
        if axis.when and True not in held[axis.name]:
            found.append(f"the condition of {where} never holds, so it is always {axis.otherwise}")
            continue
        if axis.when and False not in held[axis.name]:
            found.append(f"the condition of {where} always holds; `otherwise` has no use")
        unused = [value for value in axis.values if value not in used[axis.name]]
        if unused:
            found.append(f"{or_list(unused)} of {where} is in no legal layer")
    return found


def _placed_without_motif(space: Space) -> list[str]:
    """Axes placed `motif` where the motif has length 1: the same as shared."""
    if max(int(period) for period in space.model_axes[3].values) > 1:
        return []
    return [
        f"`{dotted(axis.location)}` is placed motif, but `period` is 1, so it is shared"
        for axis in space.layer_axes
        if axis.place == "motif" and len(axis.values) > 1
    ]


def _tight_constraints(space: Space) -> list[str]:
    if not space.constraints:
        return []
    rng = np.random.default_rng(0)
    designs = [space.build(*draw(space, rng)) for _ in range(SAMPLES)]
    found: list[str] = []
    for constraint in space.constraints:
        removed = sum(constraint.violation(design) is not None for design in designs) / SAMPLES
        if removed > REMOVES_TOO_MUCH:
            share = f"{100 * removed:.4g}% of {SAMPLES:,} samples"
            found.append(f"the constraint `{constraint.describe()}` removes {share}")
    return found

"""Warnings: what is legal in a space but probably not meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from search_space.axes import StackAxes, assignments
from search_space.axis_config import Value
from search_space.deployability import layer_refusals
from search_space.errors import DesignError
from search_space.layer_values import layer_of
from search_space.sampling import distinct
from search_space.strict_yaml import dotted
from search_space.validation import or_list

if TYPE_CHECKING:
    from search_space.space import Space

SAMPLES = 1_000
REMOVES_TOO_MUCH = 0.99


def space_warnings(space: Space) -> list[str]:
    """One sentence each: lone or unused values, idle conditions, tight constraints."""
    stacks = [stack.axes for stack in space.stacks]
    axes = [*space.size_axes]
    for stack in stacks:
        axes += stack.varying[1:] if stack.name == "cross" else stack.varying
    found = [
        f"`{dotted(axis.location)}` is written as an axis but has one value, {axis.values[0]}"
        for axis in axes
        if axis.written_as_axis and len(axis.values) == 1 and not axis.when
    ]
    for stack in stacks:
        found += [*_unused(stack, space), *_placed_without_motif(stack)]
    if not space.constraints and sum(space.frames.weights) == 1:
        found.append("the space holds one design: there is nothing to search")
    return [*found, *_tight_constraints(space)]


def _unused(stack: StackAxes, space: Space) -> list[str]:
    """Values in no legal layer, and conditions that never, or always, hold."""
    ordered, targets = stack.layer, space.config.deploy
    context = max(int(context) for context in space.size_axes[1].values)
    used: dict[str, set[Value]] = {axis.name: set() for axis in ordered}
    held: dict[str, set[bool]] = {axis.name: set() for axis in ordered}
    for _, values in assignments(ordered, {}, ("shared", "motif", "per-layer")):
        try:
            layer = layer_of(values, stack.kind).canonical(context)
        except DesignError:
            continue
        if any(layer_refusals(layer, target) for target in targets):
            continue
        for axis in ordered:
            if axis.name in values:
                holds = axis.holds(values)
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
        if unused and (held[axis.name] or axis.parent is None):
            allowed = f" that {' and '.join(targets)} can run" if targets else ""
            found.append(f"{or_list(unused)} of {where} is in no legal layer{allowed}")
    return found


def _placed_without_motif(stack: StackAxes) -> list[str]:
    """Axes placed `motif` where the motif has length 1: the same as shared."""
    if max(int(period) for period in stack.period.values) > 1:
        return []
    return [
        f"`{dotted(axis.location)}` is placed motif, but `{dotted(stack.period.location)}` is 1, "
        "so it is shared"
        for axis in stack.layer
        if axis.place == "motif" and len(axis.values) > 1
    ]


def _tight_constraints(space: Space) -> list[str]:
    if not space.constraints:
        return []
    rng = np.random.default_rng(0)
    designs = [space.build(*distinct(space, rng)) for _ in range(SAMPLES)]
    found: list[str] = []
    for constraint in space.constraints:
        removed = sum(constraint.violation(design) is not None for design in designs) / SAMPLES
        if removed > REMOVES_TOO_MUCH:
            share = f"{100 * removed:.4g}% of {SAMPLES:,} samples"
            found.append(f"the constraint `{constraint.describe()}` removes {share}")
    return found

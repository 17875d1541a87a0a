"""Mistakes that lie between the parts of a space, each with its place in the space's YAML."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from search_space.axes import (
    Axis,
    StackAxes,
    assignments,
    conditions_first,
    layer_axes,
    size_axes,
    stack_axes,
)
from search_space.axis_config import Value
from search_space.deployability import layer_refusals
from search_space.errors import DesignError
from search_space.layer_values import LAYER_AXES, layer_of
from search_space.patterns import Kind
from search_space.strict_yaml import Location, quoted
from search_space.validation import closest, or_list

if TYPE_CHECKING:
    from search_space.space_config import SpaceConfig

MAX_LAYERS = 60_000  # ways to write a layer, all contexts together: about a second to build
MAX_FRAMES = 200_000  # ways to fix what the layers share

Problem = tuple[Location, str]


def space_problems(config: SpaceConfig) -> list[Problem]:
    """Every mistake; none for a space that holds at least one design, constraints apart."""
    found: list[Problem] = []
    for axes in _axes_as_written(config):
        found += _condition_problems(axes)
    sizes = {axis.name: axis for axis in size_axes(config)}
    found += _constraint_problems(config, sizes["context"].values)
    if found:
        return found
    stacks = stack_axes(config)
    frames = len(sizes["width"].values) * len(sizes["context"].values)
    for stack in stacks:
        frames *= _frames(stack, MAX_FRAMES)
        if frames > MAX_FRAMES:
            message = (
                f"what the layers share and what the motif repeats combine in at most "
                f"{MAX_FRAMES:,} ways, but these are more; offer fewer values"
            )
            return [((), message)]
    contexts = [int(context) for context in sizes["context"].values]
    for stack in stacks:
        found += _layer_problems(stack, len(contexts))
    return found or [problem for s in stacks for problem in _deploy_problems(s, config, contexts)]


def _axes_as_written(config: SpaceConfig) -> Iterator[tuple[Axis, ...]]:
    kind: Kind = "bidirectional" if config.kind == "encoder" else "causal"
    yield layer_axes(config.layer, kind, ("layer",))
    if config.encoder is not None:
        yield layer_axes(config.encoder.layer, "bidirectional", ("encoder", "layer"))
    if config.cross is not None:
        yield layer_axes(config.cross.layer, "cross", ("cross", "layer"))


def _condition_problems(axes: tuple[Axis, ...]) -> list[Problem]:
    found = [problem for axis in axes for problem in _unknown_conditions(axis)]
    ordered = conditions_first(axes)
    if not found and len(ordered) < len(axes):
        circle = [axis for axis in axes if axis not in ordered and axis.when]
        message = f"the conditions of {or_list(a.name for a in circle)} go in a circle; remove one"
        found.append(((*circle[0].location, "when"), message))
    return found


def _unknown_conditions(axis: Axis) -> Iterator[Problem]:
    for other in axis.when:
        if other not in LAYER_AXES or other == axis.name:
            names = [name for name in LAYER_AXES if name != axis.name]
            meant = None if other == axis.name else closest(other, names)
            fix = f"did you mean `{meant}`?" if meant else f"it may name {or_list(names)}"
            message = f"a condition names another axis of the layer, but got {quoted(other)}; {fix}"
            yield (*axis.location, "when", other), message


def _constraint_problems(config: SpaceConfig, contexts: tuple[Value, ...]) -> Iterable[Problem]:
    longest = max(int(context) for context in contexts)
    for index, constraint in enumerate(config.constraints):
        if constraint.at is not None and constraint.at > longest:
            message = (
                f"the designs hold at most {longest} tokens, but got at={constraint.at}; "
                f"try at={longest}"
            )
            yield ("constraints", index, "at"), message


def _frames(stack: StackAxes, most: int) -> int:
    """Ways to fix everything but the per-layer axes, counted up to a little more than `most`."""
    sizes = len(stack.depth.values) * len(stack.period.values)
    varied = [axis for axis in stack.layer if axis.place != "per-layer" and not axis.parent]
    if math.prod(len(axis.values) for axis in varied) > most:  # more in any case: don't walk them
        return most + 1
    ways = assignments(stack.layer, {}, ("shared", "motif"))
    return sizes * sum(1 for _ in islice(ways, most // sizes + 1))


def _deploy_problems(
    stack: StackAxes, config: SpaceConfig, contexts: list[int]
) -> Iterator[Problem]:
    """A target that can take none of the layers, with the commonest reason."""
    for index, target in enumerate(config.deploy):
        reasons: Counter[str] = Counter()
        for _, values in assignments(stack.layer, {}, ("shared", "motif", "per-layer")):
            try:
                layer = layer_of(values, stack.kind)
            except DesignError:
                continue
            refused = [layer_refusals(layer.canonical(c), target) for c in contexts]
            if not all(refused):
                break
            reasons.update(found[0] for found in refused)
        else:
            ((reason, _),) = reasons.most_common(1)
            message = f"{target} can run no layer of this space: {reason}"
            yield ("deploy", index), message


def _layer_problems(stack: StackAxes, contexts: int) -> Iterator[Problem]:
    """Too many ways to write a layer, or none that is legal."""
    where = stack.layer[0].location[:-1]
    ways = assignments(stack.layer, {}, ("shared", "motif", "per-layer"))
    most = MAX_LAYERS // contexts
    reasons: dict[str, int] = {}
    legal = independent = False
    for count, (_, values) in enumerate(ways, 1):
        if count > most:
            message = (
                f"the values of a layer combine in at most {MAX_LAYERS:,} ways, contexts included, "
                "but these are more; offer fewer values"
            )
            yield where, message
            return
        if not independent:
            try:
                independent = layer_of(values, stack.kind).independent
                legal = True
            except DesignError as error:
                reasons[str(error)] = reasons.get(str(error), 0) + 1
    if not legal:
        reason = max(reasons, key=lambda text: reasons[text])
        yield where, f"no combination of these values makes a legal layer: {reason}"
    elif not independent:
        message = (
            "the first layer takes keys and weights from no other, but every combination of these "
            "values is reused or tied; offer sharing own and weights own as well"
        )
        yield where, message

"""Axes: what may vary in a space, by name, and the rules that tie them together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from search_space.axis_config import Place, Placed, Value
from search_space.errors import DesignError
from search_space.layer_values import LAYER_AXES, layer_of
from search_space.pattern_config import PatternChoice, variant_parts
from search_space.strict_yaml import Location
from search_space.validation import closest, or_list

if TYPE_CHECKING:
    from search_space.space_config import LayerConfig, SpaceConfig

MAX_COMBINATIONS = 200_000  # of values, per layer or shared: seconds to build


@dataclass(frozen=True)
class Axis:
    """One thing that may vary: its values, where it may vary, and on what condition."""

    name: str
    values: tuple[Value, ...]
    location: Location  # in the space's YAML
    place: Place = "shared"
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    otherwise: Value | None = None
    written_as_axis: bool = False

    def describe(self) -> str:
        """For people: `kv_heads: 1, 2 or 4 (per-layer)`."""
        text = f"{self.name}: {or_list(self.values)}"
        if len(self.values) > 1:
            text += f" ({self.place})"
        if self.when:
            conditions = " and ".join(f"{k} is {or_list(v)}" for k, v in self.when.items())
            text += f", when {conditions}, otherwise {self.otherwise}"
        return text


def axis_of(name: str, written: Any, location: Location) -> Axis:
    """The axis that a plain value or an axis of the YAML stands for."""
    if not isinstance(written, Placed):
        return Axis(name, (written,), location)
    if isinstance(written, PatternChoice):
        values = tuple(variant_parts(variant)[0] for variant in written.choice)
    else:
        values = tuple(written.values())  # pyright: ignore[reportAttributeAccessIssue]
    when = {
        other: tuple(wanted) if isinstance(wanted, list) else (wanted,)
        for other, wanted in (written.when or {}).items()
    }
    return Axis(name, values, location, written.place, when, written.otherwise, True)


def model_axes(config: SpaceConfig) -> list[Axis]:
    """Width, depth, context and period."""
    names = ("width", "depth", "context", "period")
    return [axis_of(name, getattr(config, name), (name,)) for name in names]


def layer_axes(config: LayerConfig) -> list[Axis]:
    """The axes of a layer, the parameters of its patterns last."""
    pattern = config.pattern
    chosen = isinstance(pattern, PatternChoice)
    variants = [*enumerate(pattern.choice)] if chosen else [(None, pattern)]
    axes = [
        axis_of(name, getattr(config, name), ("layer", name))
        for name in LAYER_AXES
        if name != "pattern"
    ]
    written = pattern if chosen else variant_parts(pattern)[0]
    axes.append(axis_of("pattern", written, ("layer", "pattern")))
    for index, variant in variants:
        name, parameters = variant_parts(variant)
        where = ("layer", "pattern") if index is None else ("layer", "pattern", "choice", index)
        axes += [
            axis_of(f"{name}.{parameter}", axis, (*where, name, parameter))
            for parameter, axis in parameters.items()
        ]
    return axes


def conditions_first(axes: Iterable[Axis]) -> list[Axis]:
    """Each axis after those that its condition names; a circle is left out."""
    ordered: list[Axis] = []
    waiting = list(axes)
    while waiting:
        names = {axis.name for axis in waiting}
        ready = [axis for axis in waiting if not names & set(axis.when)]
        if not ready:
            break
        ordered += ready
        waiting = [axis for axis in waiting if names & set(axis.when)]
    return ordered


def effective(ordered: Iterable[Axis], drawn: Mapping[str, Value]) -> dict[str, Value]:
    """The values that count: `otherwise` where an axis's condition does not hold."""
    values: dict[str, Value] = {}
    for axis in ordered:
        value = drawn[axis.name]
        if axis.when and not all(values[name] in wanted for name, wanted in axis.when.items()):
            assert axis.otherwise is not None  # the configuration requires it
            value = axis.otherwise
        values[axis.name] = value
    return values


def combinations(axes: Iterable[Axis]) -> Iterable[dict[str, Value]]:
    """Every assignment of the axes' values."""
    axes = list(axes)
    for values in product(*(axis.values for axis in axes)):
        yield {axis.name: value for axis, value in zip(axes, values, strict=True)}


def semantic_problems(config: SpaceConfig) -> list[tuple[Location, str]]:
    """Mistakes that lie between the parts of a space, each with its place in the space's YAML."""
    axes = layer_axes(config.layer)
    problems = [problem for axis in axes for problem in _condition_problems(axis)]
    ordered = conditions_first(axes)
    if not problems and len(ordered) < len(axes):
        circle = [axis for axis in axes if axis not in ordered]
        message = f"the conditions of {or_list(a.name for a in circle)} go in a circle; remove one"
        problems.append(((*circle[0].location, "when"), message))
    sizes = model_axes(config)
    contexts = next(axis.values for axis in sizes if axis.name == "context")
    problems += _constraint_problems(config, contexts)
    shared = [axis for axis in [*sizes, *axes] if axis.place != "per-layer"]
    frames = math.prod(len(axis.values) for axis in shared)
    if frames > MAX_COMBINATIONS:
        message = (
            f"what the layers share and what the motif repeats combine in at most "
            f"{MAX_COMBINATIONS:,} ways, but got {frames:,}; offer fewer values"
        )
        return [*problems, ((), message)]
    total = len(contexts) * math.prod(len(axis.values) for axis in axes)
    if total > MAX_COMBINATIONS:
        message = (
            f"the values of a layer combine in at most {MAX_COMBINATIONS:,} ways, "
            f"but got {total:,}; offer fewer values"
        )
        return [*problems, (("layer",), message)]
    return problems or _no_legal_layer(ordered)


def _condition_problems(axis: Axis) -> Iterable[tuple[Location, str]]:
    for other in axis.when:
        if other not in LAYER_AXES or other == axis.name:
            names = [name for name in LAYER_AXES if name != axis.name]
            meant = closest(other, names)
            fix = f"did you mean `{meant}`?" if meant else f"it may name {or_list(names)}"
            message = f"a condition names another axis of the layer, but got {other!r}; {fix}"
            yield (*axis.location, "when", other), message


def _constraint_problems(
    config: SpaceConfig, contexts: tuple[Value, ...]
) -> Iterable[tuple[Location, str]]:
    longest = max(int(context) for context in contexts)
    for index, constraint in enumerate(config.constraints):
        if constraint.at is not None and constraint.at > longest:
            message = (
                f"the designs hold at most {longest} tokens, but got at={constraint.at}; "
                f"try at={longest}"
            )
            yield ("constraints", index, "at"), message


def _no_legal_layer(ordered: list[Axis]) -> list[tuple[Location, str]]:
    """Nothing where some combination is legal; else the rule that refused the last one."""
    reason = ""
    for drawn in combinations(ordered):
        try:
            layer_of(effective(ordered, drawn))
            return []
        except DesignError as error:
            reason = str(error)
    return [(("layer",), f"no combination of these values makes a legal layer: {reason}")]

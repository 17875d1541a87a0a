"""Axes: what may vary in a space, by name, and the rules that tie them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from search_space.axis_config import Place, Placed, Value
from search_space.layer_values import FAMILIES, LAYER_AXES, PLAIN_AXES
from search_space.patterns import Kind
from search_space.strict_yaml import Location
from search_space.validation import or_list
from search_space.variant_config import VariantChoice, variant_parts

if TYPE_CHECKING:
    from search_space.space_config import LayerConfig, SpaceConfig


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
    parent: str | None = None  # the axis with a value of which this one comes
    parent_values: tuple[Value, ...] = ()

    @property
    def named(self) -> set[str]:
        """Axes that decide whether this one counts."""
        return {*self.when, *([self.parent] if self.parent else [])}

    def idle(self, values: Mapping[str, Value]) -> bool:
        """Whether the values of the axes before leave this one nothing to say."""
        return self.parent is not None and values.get(self.parent) not in self.parent_values

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether its condition holds."""
        return all(values.get(name) in wanted for name, wanted in self.when.items())

    def describe(self) -> str:
        """For people: `kv_heads: 1, 2 or 4 (per-layer)`."""
        text = f"{self.name}: {or_list(self.values)}"
        if len(self.values) > 1:
            text += f" ({self.place})"
        if self.when:
            conditions = " and ".join(f"{k} is {or_list(v)}" for k, v in self.when.items())
            text += f", when {conditions}, otherwise {self.otherwise}"
        return text


@dataclass(frozen=True)
class StackAxes:
    """The axes of the layers of one kind: how many, repeated how, and what each may be."""

    name: str  # decoder, encoder or cross
    kind: Kind
    depth: Axis
    period: Axis
    layer: tuple[Axis, ...]  # each after those that decide whether it counts

    @property
    def varying(self) -> list[Axis]:
        """All of them."""
        return [self.depth, self.period, *self.layer]


def axis_of(name: str, written: Any, location: Location) -> Axis:
    """The axis that a plain value or an axis of the YAML stands for."""
    if not isinstance(written, Placed):
        return Axis(name, (written,), location)
    if isinstance(written, VariantChoice):
        values = tuple(variant_parts(variant)[0] for variant in written.choice)
    else:
        values = tuple(written.values())  # pyright: ignore[reportAttributeAccessIssue]
    when = {
        other: tuple(wanted) if isinstance(wanted, list) else (wanted,)
        for other, wanted in (written.when or {}).items()
    }
    return Axis(name, values, location, written.place, when, written.otherwise, True)


def size_axes(config: SpaceConfig) -> list[Axis]:
    """Width and context: what all layers of a model have in common."""
    return [axis_of(name, getattr(config, name), (name,)) for name in ("width", "context")]


def setting_axes(config: SpaceConfig) -> list[Axis]:
    """What belongs to a trial, not to its design, by name."""
    return [
        axis_of(name, config.settings[name], ("settings", name)) for name in sorted(config.settings)
    ]


def stack_axes(config: SpaceConfig) -> list[StackAxes]:
    """The stacks of a space, in the order of computation."""
    kind: Kind = "bidirectional" if config.kind == "encoder" else "causal"
    main = _stack("encoder" if config.kind == "encoder" else "decoder", kind, config, ())
    if config.encoder is None or config.cross is None:
        return [main]
    encoder = _stack("encoder", "bidirectional", config.encoder, ("encoder",))
    cross = config.cross
    return [
        encoder,
        main,
        StackAxes(
            "cross",
            "cross",
            main.depth,
            axis_of("period", cross.period, ("cross", "period")),
            tuple(conditions_first(layer_axes(cross.layer, "cross", ("cross", "layer")))),
        ),
    ]


def _stack(name: str, kind: Kind, config: Any, where: Location) -> StackAxes:
    depth = axis_of("depth", config.depth, (*where, "depth"))
    period = axis_of("period", config.period, (*where, "period"))
    layer = conditions_first(layer_axes(config.layer, kind, (*where, "layer")))
    return StackAxes(name, kind, depth, period, tuple(layer))


def layer_axes(config: LayerConfig, kind: Kind, where: Location) -> tuple[Axis, ...]:
    """The axes of a layer, as they are written."""
    axes: dict[str, Axis] = {}
    for name in LAYER_AXES:
        written = getattr(config, name)
        if name == "position" and written is None:
            written = "none" if kind == "cross" else "rotary"
        if name not in PLAIN_AXES:
            axes.update((axis.name, axis) for axis in _family_axes(name, written, (*where, name)))
            continue
        axis = axis_of(name, written, (*where, name))
        if name == "second_kv_heads":
            second = axes["second_pattern"]
            patterns = {*second.values, second.otherwise} - {"none", None}
            axis = replace(axis, parent=second.name, parent_values=tuple(map(str, patterns)))
        axes[name] = axis
    return tuple(axes.values())


def _family_axes(name: str, written: Any, where: Location) -> Iterator[Axis]:
    """The axis over a family's members, then those over their parameters."""
    chosen = isinstance(written, VariantChoice)
    yield axis_of(name, written if chosen else variant_parts(written)[0], where)
    for index, variant in [*enumerate(written.choice)] if chosen else [(None, written)]:
        member, parameters = variant_parts(variant)
        place = where if index is None else (*where, "choice", index)
        for parameter, axis in parameters.items():
            full = FAMILIES[name].parameter(member, parameter)
            found = axis_of(full, axis, (*place, member, parameter))
            yield replace(found, parent=name, parent_values=(member,))


def conditions_first(axes: Iterable[Axis]) -> list[Axis]:
    """Each axis after those that decide whether it counts; a circle is left out."""
    ordered: list[Axis] = []
    waiting = list(axes)
    while waiting:
        names = {axis.name for axis in waiting}
        ready = [axis for axis in waiting if not names & axis.named]
        if not ready:
            break
        ordered += ready
        waiting = [axis for axis in waiting if names & axis.named]
    return ordered


def assignments(
    ordered: Sequence[Axis], drawn: Mapping[str, Value], places: Iterable[Place]
) -> Iterator[tuple[dict[str, Value], dict[str, Value]]]:
    """Every choice for the axes at `places`, the ones in `drawn` given: (drawn, values).

    `values` are those that count: none for an axis that is idle, `otherwise` where a condition
    fails. What hangs on axes that are neither given nor chosen here is unknown and left out of
    both. Axes that say nothing are not varied, so that no choice is made twice.
    """
    wanted = set(places)

    def walk(
        index: int, drawn: dict[str, Value], values: dict[str, Value], unknown: frozenset[str]
    ) -> Iterator[tuple[dict[str, Value], dict[str, Value]]]:
        if index == len(ordered):
            yield drawn, values
            return
        axis = ordered[index]
        name, hazy = axis.name, bool(axis.named & unknown)
        if not hazy and axis.idle(values):
            yield from walk(index + 1, drawn, values, unknown)
        elif not hazy and not axis.holds(values):
            assert axis.otherwise is not None  # the configuration requires it
            yield from walk(index + 1, drawn, {**values, name: axis.otherwise}, unknown)
        elif name in drawn or axis.place not in wanted:
            if name in drawn and not hazy:
                values = {**values, name: drawn[name]}
            else:
                unknown = unknown | {name}
            yield from walk(index + 1, drawn, values, unknown)
        else:
            for value in axis.values:
                counts = unknown | {name} if hazy else unknown
                new = values if hazy else {**values, name: value}
                yield from walk(index + 1, {**drawn, name: value}, new, counts)

    yield from walk(0, dict(drawn), {}, frozenset())

"""A layer as named values and back: the one place where spaces know what a layer is made of.

Everything else about spaces works on axis names, so a new element of the language is added here
and in the YAML's model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from search_space.axis_config import Value
from search_space.gates import GATES
from search_space.heads import Heads
from search_space.layer import LayerDesign, Split
from search_space.patterns import PATTERNS, Kind
from search_space.positions import POSITIONS
from search_space.scores import SCORES
from search_space.sharing import SHARINGS


@dataclass(frozen=True)
class NoPattern:
    """The second pattern of a layer that is not split."""


@dataclass(frozen=True, slots=True)
class Family:
    """An axis whose values are registered types, each with parameters of its own."""

    axis: str
    what: str  # for messages
    registry: Mapping[str, type[Any]]
    prefix: str = ""  # of its parameters' names

    def parameter(self, variant: str, name: str) -> str:
        """The axis name of a parameter."""
        return f"{self.prefix}{variant}.{name}"


FAMILIES = {
    family.axis: family
    for family in (
        Family("pattern", "pattern", PATTERNS),
        Family("second_pattern", "pattern", {"none": NoPattern, **PATTERNS}, "second."),
        Family("sharing", "sharing", SHARINGS),
        Family("score", "score", SCORES),
        Family("position", "position", POSITIONS),
        Family("gate", "gate", GATES),
    )
}
PLAIN_AXES = ("query_heads", "kv_heads", "head_dim", "second_kv_heads", "weights")
LAYER_AXES = (*PLAIN_AXES[:3], "pattern", "second_pattern", *PLAIN_AXES[3:], *list(FAMILIES)[2:])
ORDINARY: dict[str, tuple[Value, ...]] = {  # not worth a line in a space's description
    "second_pattern": ("none",),
    "second_kv_heads": (1,),
    "weights": ("own",),
    "sharing": ("own",),
    "score": ("scaled-dot",),
    "position": ("rotary",),
    "gate": ("none",),
}
LEANING: tuple[str, ...] = ("sharing", "weights")  # what a layer takes from its anchor


def layer_of(values: Mapping[str, Value], kind: Kind) -> LayerDesign:
    """The layer with these values; DesignError where they are not legal together."""
    heads = Heads(int(values["query_heads"]), int(values["kv_heads"]), int(values["head_dim"]))
    made = {name: _made(family, values) for name, family in FAMILIES.items()}
    split = None
    if not isinstance(made["second_pattern"], NoPattern):
        split = Split(made["second_pattern"], int(values["second_kv_heads"]))
    return LayerDesign(
        heads=heads,
        pattern=made["pattern"],
        position=made["position"],
        split=split,
        sharing=made["sharing"],
        score=made["score"],
        gate=made["gate"],
        kind=kind,
        tied=values["weights"] == "tied",
    )


def _made(family: Family, values: Mapping[str, Value]) -> Any:
    """The member of a family that the values describe."""
    variant = str(values[family.axis])
    names = _parameter_names(family.axis, variant)
    given = tuple((name, values[axis]) for name, axis in names if axis in values)
    return _instance(family.axis, variant, given)


@lru_cache(maxsize=1024)
def _parameter_names(axis: str, variant: str) -> tuple[tuple[str, str], ...]:
    """The parameters of a variant with their axis names."""
    family = FAMILIES[axis]
    return tuple(
        (f.name, family.parameter(variant, f.name)) for f in fields(family.registry[variant])
    )


@lru_cache(maxsize=65_536)
def _instance(axis: str, variant: str, parameters: tuple[tuple[str, Value], ...]) -> Any:
    """Equal members are one object, so that a large space stays small."""
    values = {
        f.name: float(value) if f.type == "float" else value
        for f in fields(FAMILIES[axis].registry[variant])
        for name, value in parameters
        if name == f.name
    }
    return FAMILIES[axis].registry[variant](**values)


def features(layer: LayerDesign) -> dict[str, Value]:
    """The named values of a layer; parameters of what it does not have are missing."""
    second = NoPattern() if layer.split is None else layer.split.pattern
    members = {
        "pattern": layer.pattern,
        "second_pattern": second,
        "sharing": layer.sharing,
        "score": layer.score,
        "position": layer.position,
        "gate": layer.gate,
    }
    values: dict[str, Value] = {
        "query_heads": layer.heads.query,
        "kv_heads": layer.heads.kv,
        "head_dim": layer.heads.dim,
        "weights": "tied" if layer.tied else "own",
    }
    if layer.split is not None:
        values["second_kv_heads"] = layer.split.kv_heads
    for axis, member in members.items():
        values.update(_member_values(FAMILIES[axis], member))
    return values


def _member_values(family: Family, member: Any) -> Iterator[tuple[str, Value]]:
    name = getattr(type(member), "name", "none")
    yield family.axis, name
    for f in fields(member):
        yield family.parameter(name, f.name), getattr(member, f.name)


def differences(a: Mapping[str, Value], b: Mapping[str, Value]) -> list[str]:
    """Axes on which the features of two layers differ; those that one of them lacks don't count."""
    return [name for name in a if name in b and a[name] != b[name]]

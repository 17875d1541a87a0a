"""Design: a whole model's attention configuration, with a key equal for equal functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from search_space.errors import DesignError
from search_space.heads import Heads
from search_space.layer import LayerDesign
from search_space.patterns import PATTERNS
from search_space.positions import POSITIONS

LANGUAGE_VERSION = 1
MAX_FLOAT = 1e300  # float() overflows on whole numbers above 1.8e308


@dataclass(frozen=True, slots=True)
class Design:
    """Model width, maximum context in tokens, and one attention layer per block."""

    width: int
    context: int
    layers: tuple[LayerDesign, ...]

    def __post_init__(self) -> None:
        if self.width < 8 or self.width % 8:
            raise DesignError(
                f"width must be a multiple of 8, but got {self.width}; "
                f"try {max(8, 8 * round(self.width / 8))}"
            )
        if self.context < 2:
            raise DesignError(f"the maximum context must be at least 2, but got {self.context}")
        if not self.layers:
            raise DesignError("a design needs at least one layer, but got none")

    @property
    def depth(self) -> int:
        """Number of transformer blocks."""
        return len(self.layers)

    @property
    def mlp_width(self) -> int:
        """Hidden width of the gated MLP: 8/3 of the model's, rounded up to 32.

        Two thirds of 4 x width, so that three matrices cost what two did (Shazeer 2020,
        arXiv:2002.05202).
        """
        return 32 * -(-8 * self.width // (3 * 32))

    def canonical(self) -> Design:
        """The simplest design that computes the same function."""
        return replace(self, layers=tuple(layer.canonical(self.context) for layer in self.layers))

    @property
    def key(self) -> str:
        """16 hex digits, equal for designs that compute the same function."""
        return hashlib.sha256(self.canonical().to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """One line, keys sorted: equal designs give equal text."""
        return json.dumps({"language": LANGUAGE_VERSION, **_plain(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Design:
        """The design that `to_json` wrote; refuses unknown, missing or mistyped fields."""
        try:
            data = json.loads(text)
        except RecursionError as error:
            raise DesignError("a design must be JSON, but this nests too deep") from error
        except ValueError as error:  # not JSON, or a number of more digits than Python reads
            raise DesignError(f"a design must be JSON, but {error}") from error
        return cls.from_plain(data)

    @classmethod
    def from_plain(cls, data: Any) -> Design:
        """A design from parsed JSON."""
        version = data.get("language") if isinstance(data, Mapping) else None
        if type(version) is not int or version != LANGUAGE_VERSION:  # True == 1
            raise DesignError(
                f"this attnas reads designs of language version {LANGUAGE_VERSION}, "
                f"but got {version!r}"
            )
        top = _take("design", {k: v for k, v in data.items() if k != "language"}, cls)
        if not isinstance(top["layers"], list):
            raise DesignError("`layers` must be a list of layers")
        layers = []
        for index, item in enumerate(top["layers"]):
            layer = _take(f"layer {index}", item, LayerDesign)
            layers.append(
                LayerDesign(
                    heads=_typed(f"layer {index} heads", layer["heads"], Heads),
                    pattern=_variant(f"layer {index} pattern", layer["pattern"], PATTERNS),
                    position=_variant(f"layer {index} position", layer["position"], POSITIONS),
                )
            )
        return _typed("design", top | {"layers": tuple(layers)}, cls)


def _plain(value: Any) -> Any:
    """A dataclass as plain JSON data, a variant type carrying its name."""
    if is_dataclass(value) and not isinstance(value, type):
        name = getattr(type(value), "name", None)
        named = {} if name is None else {"name": name}
        return named | {
            # Rotary(10000) and Rotary(10000.0) are equal, so their text must be as well
            f.name: float(item) if f.type == "float" else _plain(item)
            for f in fields(value)
            for item in (getattr(value, f.name),)
        }
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _take(where: str, data: Any, cls: type) -> dict[str, Any]:
    """The fields of `cls` out of a mapping, all present and none besides."""
    if not isinstance(data, Mapping):
        raise DesignError(f"{where} must be a mapping, but got {data!r}")
    names = {f.name for f in fields(cls)}
    for problem, keys in (("lacks", names - set(data)), ("has unknown", set(data) - names)):
        if keys:
            raise DesignError(f"{where} {problem} {', '.join(sorted(map(str, keys)))}")
    return dict(data)


def _typed(where: str, data: Any, cls: type[Any]) -> Any:
    """An instance of `cls`, its number fields checked (JSON has no integers of its own)."""
    values = _take(where, data, cls)
    for f in fields(cls):
        value = values[f.name]
        if f.type == "int" and type(value) is not int:
            raise DesignError(f"{where}: {f.name} must be a whole number, but got {value!r}")
        if f.type == "float":
            if type(value) not in (int, float) or abs(value) > MAX_FLOAT:
                raise DesignError(f"{where}: {f.name} must be a number, but got {value!r}")
            values[f.name] = float(value)
    return cls(**values)


def _variant(where: str, data: Any, registry: Mapping[str, type[Any]]) -> Any:
    """An instance of the registered type that `data["name"]` names."""
    name = data.get("name") if isinstance(data, Mapping) else None
    if not isinstance(name, str) or name not in registry:
        raise DesignError(f"{where} must name one of {', '.join(registry)}, but got {name!r}")
    return _typed(where, {k: v for k, v in data.items() if k != "name"}, registry[name])

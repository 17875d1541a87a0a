"""Design: a whole model's attention configuration, with a key equal for equal functions.

Attention layers stand in the order in which they are computed. Causal ones make a decoder,
bidirectional ones an encoder, and bidirectional, then causal ones with cross attention after
some or all of them, an encoder-decoder. Every layer but a cross one has an MLP behind it, or
behind its cross layer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from search_space.errors import DesignError
from search_space.gates import GATES
from search_space.heads import Heads
from search_space.layer import LayerDesign, Split
from search_space.patterns import PATTERNS, Kind
from search_space.positions import POSITIONS
from search_space.scores import SCORES
from search_space.sharing import SHARINGS

# Raised when designs of before change their meaning. A new element leaves it alone: ordinary
# values are not written, so that keys outlive the growth of the language.
LANGUAGE_VERSION = 1
ALWAYS = {"heads", "pattern", "position"}  # of a layer, written in any case
MOST_LAYERS = 1 << 16  # distinct ones that are remembered
_LAYERS: dict[str, LayerDesign] = {}  # by the text of their parsed JSON
MAX_FLOAT = 1e300  # float() overflows on whole numbers above 1.8e308

ModelKind = Literal["decoder", "encoder", "encoder-decoder"]


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
        if any(layer.kind != "causal" for layer in self.layers):
            _check_order([layer.kind for layer in self.layers])
        if not all(layer.independent for layer in self.layers):
            self._check_anchors()

    def _check_anchors(self) -> None:
        for number, (layer, anchor) in enumerate(zip(self.layers, self.anchors(), strict=True)):
            if layer.independent:
                continue
            verb = "is tied" if layer.tied else "reuses keys and values"
            if anchor is None:
                raise DesignError(
                    f"layer {number} {verb}, but no {layer.kind} layer before it has its own; "
                    "the first of a kind must be independent"
                )
            if misfit := layer.misfit(self.layers[anchor], self.context):
                raise DesignError(f"layer {number} {verb} from layer {anchor}: {misfit}")

    def anchors(self) -> list[int | None]:
        """For each layer the nearest earlier independent one of its kind, by index."""
        latest: dict[str, int] = {}
        found: list[int | None] = []
        for index, layer in enumerate(self.layers):
            found.append(latest.get(layer.kind))
            if layer.independent:
                latest[layer.kind] = index
        return found

    def lenders(self) -> set[int]:
        """Indices of the layers whose keys later layers reuse."""
        if all(layer.independent for layer in self.layers):
            return set()
        pairs = zip(self.layers, self.anchors(), strict=True)
        reused = {anchor for layer, anchor in pairs if not (layer.independent or layer.tied)}
        return {anchor for anchor in reused if anchor is not None}

    @property
    def kind(self) -> ModelKind:
        """What the layers make: a decoder, an encoder, or both."""
        if self.layers[0].kind == "causal":
            return "decoder"
        return "encoder" if self.layers[-1].kind == "bidirectional" else "encoder-decoder"

    def stack(self, kind: Kind) -> tuple[LayerDesign, ...]:
        """The layers of one kind, in order."""
        return tuple(layer for layer in self.layers if layer.kind == kind)

    @property
    def depth(self) -> int:
        """Number of transformer blocks; cross attention is part of the block before it."""
        return sum(layer.kind != "cross" for layer in self.layers)

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
        layers = ", ".join(_layer_text(layer) for layer in self.layers)
        return (
            f'{{"context": {json.dumps(self.context)}, "language": {LANGUAGE_VERSION}, '
            f'"layers": [{layers}], "width": {json.dumps(self.width)}}}'
        )

    def spelled_out(self) -> dict[str, Any]:
        """Plain data with ordinary values written as well, for readers without the language."""
        return {"language": LANGUAGE_VERSION, **_plain(self, everything=True)}

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
        layers = tuple(_known_layer(f"layer {i}", item) for i, item in enumerate(top["layers"]))
        return _typed("design", top | {"layers": layers}, cls)


def _check_order(kinds: list[str]) -> None:
    """Encoder first, then the decoder; cross attention only where there is something to see."""
    encoder = kinds.count("bidirectional")
    if "bidirectional" in kinds[encoder:]:
        raise DesignError("bidirectional layers are an encoder's and come before all others")
    decoder = kinds[encoder:]
    if "cross" in decoder and not encoder:
        raise DesignError("cross attention needs an encoder; put bidirectional layers first")
    if decoder and encoder and "cross" not in decoder:
        raise DesignError(
            "a decoder behind an encoder needs cross attention; put a cross layer behind it"
        )
    for before, after in zip(["start", *decoder], decoder, strict=False):
        if after == "cross" and before != "causal":
            raise DesignError(f"a cross layer follows a causal one, but got one after {before}")


def _known_layer(where: str, data: Any) -> LayerDesign:
    """A layer from parsed JSON, read once; runs hold the same few layers a million times."""
    text = repr(data)  # tells 1 from 1.0 and from True
    if text not in _LAYERS:
        layer = _layer(where, data)  # a mistake is told anew each time, with its own place
        if len(_LAYERS) >= MOST_LAYERS:
            _LAYERS.clear()
        _LAYERS[text] = layer
    return _LAYERS[text]


def _layer(where: str, data: Any) -> LayerDesign:
    """A layer from parsed JSON; what is ordinary may be missing."""
    values = _take(where, data, LayerDesign)
    families = {"pattern": PATTERNS, "position": POSITIONS, "sharing": SHARINGS}
    families |= {"score": SCORES, "gate": GATES}
    for name, registry in families.items():
        if name in values:
            values[name] = _variant(f"{where} {name}", values[name], registry)
    if values.get("split") is not None:
        split = _take(f"{where} split", values["split"], Split)
        pattern = _variant(f"{where} split pattern", split["pattern"], PATTERNS)
        values["split"] = _typed(f"{where} split", split | {"pattern": pattern}, Split)
    if not isinstance(values.get("tied", False), bool):
        raise DesignError(f"{where}: tied must be true or false, but got {values['tied']!r}")
    return LayerDesign(**values | {"heads": _typed(f"{where} heads", values["heads"], Heads)})


def _plain(value: Any, everything: bool = False) -> Any:
    """A dataclass as plain JSON data, a variant type carrying its name."""
    if is_dataclass(value) and not isinstance(value, type):
        name = getattr(type(value), "name", None)
        plain = {} if name is None else {"name": name}
        for f in fields(value):
            item = getattr(value, f.name)
            ordinary = isinstance(value, LayerDesign) and f.name not in ALWAYS
            if ordinary and not everything and item == _default(f):
                continue
            # Rotary(10000) and Rotary(10000.0) are equal, so their text must be as well
            plain[f.name] = float(item) if f.type == "float" else _plain(item, everything)
        return plain
    if isinstance(value, tuple):
        return [_plain(item, everything) for item in value]
    return value


@lru_cache(maxsize=1 << 16)
def _layer_text(layer: LayerDesign) -> str:
    """A layer as JSON, keys sorted; searches write the same few layers a million times."""
    return json.dumps(_plain(layer), sort_keys=True)


def _default(f: Any) -> Any:
    """A field's default; MISSING, which equals nothing else, where it has none."""
    return f.default if f.default_factory is MISSING else f.default_factory()


def _take(where: str, data: Any, cls: type) -> dict[str, Any]:
    """The fields of `cls` out of a mapping, none besides and all without a default present."""
    if not isinstance(data, Mapping):
        raise DesignError(f"{where} must be a mapping, but got {data!r}")
    names = {f.name for f in fields(cls)}
    needed = ALWAYS if cls is LayerDesign else names
    for problem, keys in (("lacks", needed - set(data)), ("has unknown", set(data) - names)):
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

"""The YAML of a space: which widths, depths, contexts and layers a search may sample."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    GetPydanticSchema,
    Tag,
    model_validator,
)

from search_space.axis_config import (
    Choice,
    Closed,
    IntAxis,
    LogRange,
    Placed,
    Range,
    Value,
    WordAxis,
    axis_form,
    each_legal,
)
from search_space.counts import BYTES_PER_ELEMENT
from search_space.deployability import TARGETS
from search_space.design import Design
from search_space.errors import DesignError
from search_space.heads import Heads
from search_space.layer import LayerDesign, Split
from search_space.layer_values import FAMILIES
from search_space.patterns import Dense
from search_space.space_problems import space_problems
from search_space.strict_yaml import Location, quoted
from search_space.structure import Structure
from search_space.validation import closest, located_error, or_list
from search_space.variant_config import variant_axis

MAX_DEPTH = 1_000


def _always_shared(axis: Any) -> Any:
    """Axes of the model or of its training have one value and no conditions on layers."""
    if isinstance(axis, Placed):
        problems: list[tuple[Location, str]] = []
        if axis.place != "shared":
            message = f"this axis is always shared, but got {axis.place}; remove it"
            problems.append((("place",), message))
        if axis.when:
            problems.append((("when",), "conditions are for the axes of a layer; remove it"))
        if problems:
            raise located_error(problems)
    return axis


def _dotted_path(name: str) -> str:
    if not re.fullmatch(r"\w+(\.\w+)+", name):
        raise ValueError("a setting is named by a dotted path, such as training.learning_rate")
    return name


def _probe_layer() -> tuple[LayerDesign, ...]:
    return (LayerDesign(Heads(1, 1, 2)),)


def _count_of_layers(value: int) -> None:
    if not 1 <= value <= MAX_DEPTH:
        raise DesignError(f"a number of layers is 1 to {MAX_DEPTH:,}, but got {value}")


def _own_or_tied(value: str) -> None:
    if value not in ("own", "tied"):
        raise DesignError(f"weights are own or tied, but got {quoted(value)}")


Shared = AfterValidator(_always_shared)
Width = Annotated[IntAxis, each_legal(lambda v: Design(v, 2, _probe_layer())), Shared]
Context = Annotated[IntAxis, each_legal(lambda v: Design(8, v, _probe_layer())), Shared]
Layers = Annotated[IntAxis, each_legal(_count_of_layers), Shared]
QueryHeads = Annotated[IntAxis, each_legal(lambda v: Heads(v, v, 2))]
KVHeads = Annotated[IntAxis, each_legal(lambda v: Heads(max(v, 1), v, 2))]
HeadDim = Annotated[IntAxis, each_legal(lambda v: Heads(1, 1, v))]
GivenHeads = Annotated[IntAxis, each_legal(lambda v: Split(Dense(), v))]
Weights = Annotated[WordAxis, each_legal(_own_or_tied)]
SettingName = Annotated[str, AfterValidator(_dotted_path)]
SettingAxis = Annotated[
    Annotated[Value, Tag("<value>")]
    | Annotated[Choice[Value], Tag("<choice>")]
    | Annotated[Range, Tag("<range>")]
    | Annotated[LogRange[int | float], Tag("<log_range>")],
    Discriminator(axis_form),
    Shared,
]


def _family(axis: str) -> GetPydanticSchema:
    return variant_axis(FAMILIES[axis].what, FAMILIES[axis].registry)


class LayerConfig(Closed):
    """The axes of one attention layer."""

    query_heads: QueryHeads
    kv_heads: KVHeads = Field(description="must divide query_heads; combinations that do not drop")
    head_dim: HeadDim
    pattern: Annotated[Any, _family("pattern")] = "dense"
    second_pattern: Annotated[Any, _family("second_pattern")] = Field(
        default="none", description="of the last `second_kv_heads` KV heads"
    )
    second_kv_heads: GivenHeads = 1
    sharing: Annotated[Any, _family("sharing")] = Field(
        default="own", description="where keys and values come from"
    )
    score: Annotated[Any, _family("score")] = "scaled-dot"
    position: Annotated[Any, _family("position")] = Field(
        default=None, description="rotary; none in cross attention"
    )
    gate: Annotated[Any, _family("gate")] = "none"
    weights: Weights = Field(
        default="own", description="own, or tied to the nearest earlier layer with its own"
    )


class ConstraintConfig(Closed):
    """A bound on one of a design's exact counts."""

    count: Literal[
        "parameters", "kv_cache_bytes", "prefill_flops", "decode_flops", "attended_pairs"
    ] = Field(description="counted without embeddings and logits")
    at: int | None = Field(
        default=None, ge=1, description="tokens of context; the design's own context by default"
    )
    dtype: str | None = Field(default=None, description="of the cache; float32 by default")
    min: int | float | None = Field(default=None, ge=0)
    max: int | float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _bounds_make_sense(self) -> ConstraintConfig:
        problems: list[tuple[Location, str]] = []
        if self.min is None and self.max is None:
            problems.append(((), "a constraint needs `min` or `max`; add one"))
        if self.min is not None and self.max is not None and self.min > self.max:
            message = f"must be at most max, but got min={self.min}, max={self.max}; swap them"
            problems.append((("min",), message))
        if self.at is not None and self.count == "parameters":
            problems.append((("at",), "parameters do not depend on a context; remove it"))
        if self.dtype is not None and self.count != "kv_cache_bytes":
            message = f"a dtype is for kv_cache_bytes, but the count is {self.count}; remove it"
            problems.append((("dtype",), message))
        elif self.dtype is not None and self.dtype not in BYTES_PER_ELEMENT:
            message = f"must be {or_list(BYTES_PER_ELEMENT)}, but got {quoted(self.dtype)}"
            problems.append((("dtype",), message))
        if problems:
            raise located_error(problems)
        return self


class EncoderConfig(Closed):
    """The encoder in front of a decoder."""

    depth: Layers = Field(description="number of layers")
    period: Layers = Field(default=1, description="length of the motif")
    layer: LayerConfig


class CrossConfig(Closed):
    """The cross attention behind every layer of a decoder."""

    period: Layers = Field(default=1, description="length of the motif")
    layer: LayerConfig


class SpaceConfig(Closed):
    """Everything a search may sample."""

    kind: Literal["decoder", "encoder", "encoder-decoder"] = "decoder"
    width: Width = Field(description="channels of the model, a multiple of 8")
    depth: Layers = Field(description="number of layers")
    context: Context = Field(description="maximum context in tokens")
    period: Layers = Field(
        default=1, description="length of the motif that axes placed `motif` repeat"
    )
    layer: LayerConfig
    encoder: EncoderConfig | None = Field(default=None, description="of an encoder-decoder")
    cross: CrossConfig | None = Field(default=None, description="of an encoder-decoder")
    settings: dict[SettingName, SettingAxis] = Field(
        default_factory=dict, description="how a trial is trained, such as training.learning_rate"
    )
    constraints: list[ConstraintConfig] = Field(default_factory=list)
    structure: Structure = Field(
        default=Structure(), description="what repetition structured samples prefer"
    )
    deploy: list[str] = Field(
        default_factory=list, description="what must be able to run every design without our code"
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> SpaceConfig:
        problems = [*_missing_or_idle_stacks(self), *_unknown_targets(self.deploy)]
        problems = problems or space_problems(self)
        if problems:
            raise located_error(problems)
        return self


def _missing_or_idle_stacks(config: SpaceConfig) -> list[tuple[Location, str]]:
    both = config.kind == "encoder-decoder"
    found: list[tuple[Location, str]] = []
    for name in ("encoder", "cross"):
        given = getattr(config, name) is not None
        if both and not given:
            found.append((("kind",), f"an encoder-decoder needs a key `{name}`; add it"))
        if given and not both:
            message = f"is for kind encoder-decoder, but the kind is {config.kind}; remove it"
            found.append(((name,), message))
    return found


def _unknown_targets(names: list[str]) -> list[tuple[Location, str]]:
    found: list[tuple[Location, str]] = []
    for index, name in enumerate(names):
        if name not in TARGETS:
            meant = closest(name, TARGETS)
            fix = f"did you mean `{meant}`?" if meant else f"it knows {or_list(TARGETS)}"
            found.append((("deploy", index), f"there is no target {quoted(name)}; {fix}"))
    return found


class SpaceFile(Closed):
    """A file that holds a space and nothing else."""

    space: SpaceConfig

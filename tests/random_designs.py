"""Random designs over the whole language, small enough to be computed: parts are drawn blindly
and the language's own rules say which fit together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from search_space import (
    PATTERNS,
    Additive,
    Alibi,
    BigBird,
    BlockLocal,
    Cosine,
    Dense,
    Design,
    DesignError,
    DilatedWindow,
    Dot,
    GatedLinear,
    GlobalWindow,
    HeadGate,
    Heads,
    Hierarchical,
    Kind,
    LatentKV,
    LayerDesign,
    Linear,
    LowRank,
    NoGate,
    NoPosition,
    OneTensor,
    OwnKV,
    Pattern,
    ReusedKV,
    Rotary,
    ScaledDot,
    SinkWindow,
    SlidingWindow,
    Split,
    Strided,
)

CONTEXT = 40  # tokens at most

Number = Callable[[], int]
RANDOM_PATTERNS: dict[str, Callable[[Number], Pattern]] = {
    "dense": lambda n: Dense(),
    "sliding-window": lambda n: SlidingWindow(n()),
    "dilated-window": lambda n: DilatedWindow(n(), n()),
    "block-local": lambda n: BlockLocal(n()),
    "strided": lambda n: Strided(n()),
    "sink-window": lambda n: SinkWindow(n(), n()),
    "global-window": lambda n: GlobalWindow(n(), n()),
    "big-bird": lambda n: BigBird(n(), 1 + n() % 3, n() % 3, 1 + n() % 2, n()),
    "hierarchical": lambda n: Hierarchical(n(), n()),
    "linear": lambda n: Linear(),
    "gated-linear": lambda n: GatedLinear(),
    "low-rank": lambda n: LowRank(n()),
}


def random_design(rng: np.random.Generator) -> Design:
    """A decoder, an encoder or both, of up to four layers a stack."""
    kinds: list[Kind] = []
    model = rng.choice(["decoder", "decoder", "encoder", "encoder-decoder"])
    if model != "decoder":
        kinds.extend("bidirectional" for _ in range(int(rng.integers(1, 4))))
    if model != "encoder":
        for number in range(int(rng.integers(1, 4))):
            kinds.append("causal")
            if model == "encoder-decoder" and (number == 0 or rng.random() < 0.7):
                kinds.append("cross")
    context = CONTEXT if rng.random() < 0.7 else int(rng.integers(2, CONTEXT))
    layers: list[LayerDesign] = []
    anchors: dict[Kind, LayerDesign] = {}
    for kind in kinds:
        layer = random_layer(kind, anchors.get(kind), context, rng)
        layers.append(layer)
        anchors[kind] = layer if layer.independent else anchors[kind]
    design = Design(int(rng.choice([8, 16, 24])), context, tuple(layers))
    return design.canonical() if rng.random() < 0.5 else design


def random_layer(
    kind: Kind, anchor: LayerDesign | None, context: int, rng: np.random.Generator
) -> LayerDesign:
    """Its own or tied to the anchor, or reusing its keys and values."""
    wish = rng.choice(["own", "tied", "reused"], p=[0.4, 0.15, 0.45])
    if anchor is not None and wish == "tied":
        return replace(anchor, tied=True)
    for _ in range(30 if anchor is not None and wish == "reused" else 0):
        assert anchor is not None
        parts = random_parts(kind, rng) | {"sharing": ReusedKV(), "split": None}
        group = parts["heads"].group
        parts["heads"] = Heads(group * anchor.heads.kv, anchor.heads.kv, anchor.heads.dim)
        parts["position"] = anchor.position if anchor.position.turns else parts["position"]
        layer = legal(parts)
        if layer is not None and layer.misfit(anchor, context) is None:
            return layer
    pattern = random_parts(kind, rng)["pattern"]  # kept, or those that fit few parts were rare
    while True:
        layer = legal(random_parts(kind, rng) | {"pattern": pattern})
        if layer is not None:
            return layer


def legal(parts: dict[str, Any]) -> LayerDesign | None:
    try:
        return LayerDesign(**parts)
    except DesignError:
        return None


def random_parts(kind: Kind, rng: np.random.Generator) -> dict[str, Any]:
    """Any values, legal together or not."""

    def number() -> int:
        """Mostly small; around the context now and then."""
        return int(rng.integers(1, 7 if rng.random() < 0.7 else CONTEXT + 2))

    def one_of(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    def pattern() -> Pattern:
        names = [name for name, known in PATTERNS.items() if kind in known.kinds]
        return RANDOM_PATTERNS[one_of(*names)](number)

    kv = one_of(1, 2, 3)
    turned = one_of(0, 2, 4)
    return {
        "heads": Heads(kv * one_of(1, 2, 3), kv, one_of(2, 4, 6)),
        "pattern": pattern(),
        "position": one_of(Rotary(one_of(10.0, 10000.0)), Alibi(), NoPosition()),
        "split": Split(pattern(), one_of(1, 2)) if rng.random() < 0.3 else None,
        "sharing": one_of(OwnKV(), OneTensor(), LatentKV(one_of(1, 3, 8), turned)),
        "score": one_of(ScaledDot(), Dot(), Cosine(), Additive()),
        "gate": one_of(NoGate(), HeadGate()),
        "kind": kind,
    }

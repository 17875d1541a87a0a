"""Every rule of the language refuses with a sentence: the rule, the values, a way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from search_space import (
    PRESETS,
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
    Heads,
    Hierarchical,
    LatentKV,
    LayerDesign,
    Linear,
    LowRank,
    NoPosition,
    OneTensor,
    ReusedKV,
    Rotary,
    SinkWindow,
    SlidingWindow,
    Split,
    Strided,
    preset,
)
from search_space.counts import kv_cache_bytes
from search_space.design import ModelKind

HEADS = Heads.grouped(8, kv=2, dim=16)
LAYER = LayerDesign(HEADS)
BOTH = LayerDesign(HEADS, kind="bidirectional")
CROSS = LayerDesign(HEADS, position=NoPosition(), kind="cross")
REUSED = LayerDesign(HEADS, sharing=ReusedKV())


def layer(**parts: object) -> Callable[[], LayerDesign]:
    return lambda: replace(LAYER, **parts)


def design(*layers: LayerDesign) -> Callable[[], Design]:
    return lambda: Design(64, 64, layers)


def refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(DesignError, match=words):
        make()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Heads(6, 4, 8), "multiple of KV heads, but got query=6, kv=4; try kv=3"),
        (lambda: Heads(0, 1, 8), "query heads must be at least 1, but got 0"),
        (lambda: Heads(4, 0, 8), "KV heads must be at least 1, but got 0"),
        (lambda: Heads(4, 2, 7), "must be even .*but got 7; try 8"),
        (lambda: Heads(4, 2, 0), "must be even .*but got 0; try 2"),
        (lambda: SlidingWindow(0), "at least 1, but got 0"),
        (lambda: DilatedWindow(0, 2), "window includes the token itself.* but got 0"),
        (lambda: DilatedWindow(2, 0), "dilation must be at least 1, but got 0"),
        (lambda: BlockLocal(0), "at least 1 position, but got 0"),
        (lambda: Strided(0), "stride must be at least 1, but got 0"),
        (lambda: SinkWindow(0, 1), "window includes the token itself.* but got 0"),
        (lambda: SinkWindow(8, 0), "sinks must be at least 1, but got 0; .* sliding-window 8"),
        (lambda: GlobalWindow(0, 1), "window includes the token itself.* but got 0"),
        (lambda: GlobalWindow(8, 0), "global tokens must be at least 1.* sliding-window 8"),
        (lambda: Hierarchical(0, 2), "window includes the token itself.* but got 0"),
        (lambda: Hierarchical(2, 0), "block must hold at least 1 position, but got 0"),
        (lambda: LowRank(0), "rank must be at least 1, but got 0"),
        (lambda: BigBird(0, 1, 0, 1), "block must hold at least 1 position, but got 0"),
        (lambda: BigBird(4, 0, 0, 1), "includes the own one, so it must be at least 1, but got 0"),
        (lambda: BigBird(4, 1, -1, 1), "global blocks must be at least 0, but got -1"),
        (lambda: BigBird(4, 1, 0, 0), "random blocks must be at least 1.*use global-window"),
        (lambda: BigBird(4, 1, 0, 1, -1), r"0 to 2\*\*32 - 1, but got -1"),
        (lambda: BigBird(4, 1, 0, 1, 2**32), r"0 to 2\*\*32 - 1, but got 4294967296"),
        (lambda: Rotary(1.0), "above 1, but got 1.0"),
        (lambda: Rotary(float("nan")), "finite number above 1, but got nan"),
        (lambda: Rotary(float("inf")), "finite number above 1, but got inf"),
        (lambda: LatentKV(0), "latent rank must be at least 1, but got 0"),
        (lambda: LatentKV(8, 3), "rotary_dim must be even .*but got 3; try 4"),
        (lambda: LatentKV(8, -2), "rotary_dim must be even .*but got -2; try 0"),
        (lambda: Split(Dense(), 0), "gives away at least 1 KV head, but got 0"),
        (lambda: kv_cache_bytes(Design(64, 64, (LAYER,)), 8, "int3"), "dtype must be one of"),
    ],
)
def test_an_illegal_number_is_refused(make: Callable[[], object], words: str) -> None:
    refused(make, words)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (layer(kind="backward"), "kind is one of causal, bidirectional, cross, but got 'backward'"),
        (layer(pattern=LowRank(4)), "low-rank attention is bidirectional, but the layer is causal"),
        (layer(pattern=GatedLinear(), kind="bidirectional"), "gated-linear attention is causal"),
        (layer(pattern=SinkWindow(4, 1), kind="bidirectional"), "sink-window attention is causal"),
        (layer(pattern=Hierarchical(4, 2), kind="bidirectional"), "hierarchical .* is causal"),
        (
            lambda: replace(CROSS, pattern=SlidingWindow(4)),
            "sliding-window attention is causal or bidirectional, but the layer is cross",
        ),
        (layer(split=Split(LowRank(4), 1)), "low-rank attention is bidirectional"),
        (layer(split=Split(SlidingWindow(4), 2)), "but 2 of 2 are given away"),
        (
            layer(split=Split(SlidingWindow(4), 1), sharing=LatentKV(32, 8)),
            "a latent is shared by all heads, so they can't be split",
        ),
        (
            layer(split=Split(SlidingWindow(4), 1), sharing=ReusedKV()),
            "a layer that reuses keys can't be split",
        ),
        (
            lambda: replace(BOTH, pattern=LowRank(4), split=Split(Dense(), 1)),
            "low-rank mixes all keys .* can't be split",
        ),
        (
            lambda: replace(BOTH, pattern=LowRank(4), sharing=ReusedKV()),
            "low-rank attention sums keys and values up itself",
        ),
        (layer(pattern=Linear(), position=Alibi()), "needs the distance .* linear does not have"),
        (
            layer(pattern=Hierarchical(4, 2), position=Alibi()),
            "hierarchical does not have; use position rotary or none",
        ),
        (lambda: replace(CROSS, position=Alibi()), "no distances between the two sequences"),
        (lambda: replace(CROSS, position=Rotary()), "no distances .* use position none"),
        (layer(pattern=Linear(), score=Dot()), "linear attention has no scores"),
        (layer(pattern=GatedLinear(), score=Cosine()), "no scores .* use score scaled-dot"),
        (layer(pattern=Linear(), sharing=OneTensor()), "sums keys and values up itself; use"),
        (layer(pattern=GatedLinear(), sharing=ReusedKV()), "sums keys and values up itself"),
        (layer(pattern=Linear(), sharing=LatentKV(8, 2)), "sums keys and values up itself; use"),
        (
            layer(pattern=Hierarchical(4, 2), sharing=LatentKV(8, 2)),
            "sums keys and values up itself",
        ),
        (layer(pattern=Hierarchical(4, 2), score=Additive(), position=NoPosition()), "one by one"),
        (layer(sharing=LatentKV(8)), "rotary turns the latent's rotary_dim channels.* try 16"),
        (
            layer(sharing=LatentKV(8, 2), position=NoPosition()),
            "is for rotary positions, but the position is none; use rotary_dim=0",
        ),
        (layer(sharing=LatentKV(8, 2), score=Cosine()), "cosine scores need each head's keys"),
        (
            layer(sharing=LatentKV(8), position=NoPosition(), score=Additive()),
            "additive scores need each head's keys",
        ),
        (layer(score=Additive()), "inner products only, but the score is additive; use position"),
        (layer(tied=True, sharing=ReusedKV()), "a tied layer has all weights of its anchor"),
    ],
)
def test_a_layer_whose_parts_do_not_fit_is_refused(make: Callable[[], object], words: str) -> None:
    refused(make, words)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Design(20, 64, (LAYER,)), "multiple of 8, but got 20; try 16"),
        (lambda: Design(0, 64, (LAYER,)), "multiple of 8, but got 0; try 8"),
        (lambda: Design(64, 1, (LAYER,)), "at least 2, but got 1"),
        (design(), "at least one layer"),
        (design(LAYER, BOTH), "bidirectional layers are an encoder's and come before all others"),
        (design(BOTH, LAYER, CROSS, BOTH), "come before all others"),
        (design(CROSS), "cross attention needs an encoder"),
        (design(LAYER, CROSS), "cross attention needs an encoder"),
        (design(BOTH, LAYER), "decoder behind an encoder needs cross attention"),
        (design(BOTH, CROSS, LAYER), "follows a causal one, but got one after start"),
        (design(BOTH, LAYER, CROSS, CROSS), "follows a causal one, but got one after cross"),
        (design(REUSED), "layer 0 reuses keys and values, but no causal layer before it"),
        (design(replace(LAYER, tied=True)), "layer 0 is tied, but no causal layer before it"),
        (
            design(BOTH, LAYER, replace(CROSS, tied=True)),
            "layer 2 is tied, but no cross layer before it has its own; the first of a kind",
        ),
    ],
)
def test_a_design_whose_layers_do_not_stand_right_is_refused(
    make: Callable[[], object], words: str
) -> None:
    refused(make, words)


LATENT = replace(LAYER, sharing=LatentKV(32, 8))
LOCAL = replace(LAYER, pattern=SlidingWindow(8))


@pytest.mark.parametrize(
    ("anchor", "later", "words"),
    [
        (LATENT, REUSED, "from layer 0: keys and values can't be reused .* keeps a latent"),
        (
            replace(LAYER, split=Split(SlidingWindow(8), 1)),
            replace(REUSED, pattern=SlidingWindow(4)),
            "can't be reused from a layer split between two patterns",
        ),
        (LAYER, replace(REUSED, heads=Heads(8, 4, 16)), "KV heads of its anchor, but got 4 and 2"),
        (LAYER, replace(REUSED, heads=Heads(8, 2, 8)), "the head dimension of its anchor, but got"),
        (LAYER, replace(REUSED, position=NoPosition()), "position no position and rotary"),
        (LAYER, replace(REUSED, position=Rotary(500)), "but got position rotary base 500 and rot"),
        (
            LAYER,
            replace(REUSED, score=Cosine()),
            "normalised or not .* score cosine and scaled-dot",
        ),
        (LOCAL, REUSED, "must keep every position .* window 8 does not keep what dense needs"),
        (replace(LAYER, pattern=BlockLocal(8)), replace(REUSED, pattern=SlidingWindow(9)), "block"),
        (LOCAL, replace(REUSED, pattern=SinkWindow(8, 1)), "does not keep what sinks 1 "),
        (replace(LAYER, pattern=Strided(32)), REUSED, "strided 32 does not keep what dense needs"),
        (replace(LAYER, pattern=DilatedWindow(9, 10)), REUSED, "does not keep what dense needs"),
        (replace(LAYER, pattern=Linear()), REUSED, "linear does not keep what dense needs"),
        (
            replace(LAYER, pattern=Hierarchical(8, 4)),
            replace(REUSED, pattern=SlidingWindow(8)),
            "summaries of 4 does not keep what window 8 needs",
        ),
        (LOCAL, replace(LAYER, tied=True), "a tied layer is its anchor again"),
        (replace(LAYER, tied=False), replace(LAYER, score=Dot(), tied=True), "must be the same"),
    ],
)
def test_a_layer_that_does_not_fit_its_anchor_is_refused(
    anchor: LayerDesign, later: LayerDesign, words: str
) -> None:
    refused(design(anchor, later), words)


@pytest.mark.parametrize(
    ("anchor", "later"),
    [
        (LAYER, replace(REUSED, heads=Heads(2, 2, 16), pattern=SlidingWindow(8))),
        (LAYER, replace(REUSED, pattern=Strided(8), score=Dot())),
        (replace(LAYER, pattern=SinkWindow(8, 2)), replace(REUSED, pattern=SlidingWindow(8))),
        (replace(LAYER, pattern=DilatedWindow(3, 4)), replace(REUSED, pattern=SlidingWindow(9))),
        (replace(LAYER, sharing=OneTensor()), REUSED),
        (replace(LAYER, position=NoPosition()), replace(REUSED, position=Alibi())),
        (replace(LAYER, pattern=SlidingWindow(64)), replace(LAYER, tied=True)),
        (LATENT, replace(LATENT, tied=True)),
        (replace(BOTH, pattern=SlidingWindow(4)), replace(BOTH, sharing=ReusedKV())),
    ],
)
def test_a_layer_that_fits_its_anchor_is_legal(anchor: LayerDesign, later: LayerDesign) -> None:
    built = design(anchor, later)()
    assert built.anchors() == [None, 0]
    assert built.canonical().key == built.key


def test_anchors_are_the_nearest_independent_layers_of_the_same_kind() -> None:
    tied_cross = replace(CROSS, tied=True)
    built = design(BOTH, LAYER, CROSS, LOCAL, tied_cross, replace(LOCAL, tied=True))()
    assert built.anchors() == [None, None, None, 1, 2, 3]
    chain = design(LAYER, REUSED, replace(LAYER, tied=True), REUSED)()
    assert chain.anchors() == [None, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("mamba", "decoder", "no preset 'mamba'; the presets are mha, gqa"),
        ("linformer", "decoder", "linformer is made for encoder models, but got decoder"),
        ("mla", "encoder", "mla is made for decoder models, but got encoder"),
        ("albert", "encoder-decoder", "made for decoder and encoder models, but got encoder-dec"),
    ],
)
def test_a_preset_is_refused_where_there_is_none(name: str, kind: ModelKind, words: str) -> None:
    sizes = {"width": 8, "depth": 1, "context": 8, "heads": 1, "dim": 2}
    refused(lambda: preset(name, **sizes, kind=kind), words)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_at_least_one_layer(name: str) -> None:
    kind = PRESETS[name].kinds[0]
    words = "depth of at least 1, but got 0"
    refused(lambda: preset(name, width=8, depth=0, context=8, heads=1, dim=2, kind=kind), words)

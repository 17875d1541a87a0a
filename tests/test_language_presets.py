"""Presets at any size, and designs in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_space import (
    DEFAULT_PRESETS,
    PRESETS,
    Additive,
    Alibi,
    BigBird,
    Cosine,
    Dense,
    Design,
    GatedLinear,
    HeadGate,
    Heads,
    Hierarchical,
    LatentKV,
    LayerDesign,
    NoPosition,
    OneTensor,
    ReusedKV,
    Rotary,
    SinkWindow,
    SlidingWindow,
    Split,
    Strided,
    in_words,
    preset,
)
from search_space.design import ModelKind

BUILDS = [(name, kind) for name, preset in PRESETS.items() for kind in preset.kinds]


@pytest.mark.parametrize(("name", "kind"), BUILDS)
@given(
    depth=st.integers(1, 9),
    context=st.integers(2, 40) | st.integers(2, 200_000),
    heads=st.integers(1, 40),
    dim=st.integers(1, 80).map(lambda n: 2 * n),
)
def test_every_preset_builds_at_any_size(
    name: str, kind: ModelKind, depth: int, context: int, heads: int, dim: int
) -> None:
    sizes = {"width": 8, "depth": depth, "context": context, "heads": heads, "dim": dim}
    design = preset(name, **sizes, kind=kind)
    assert design.kind == kind
    assert design.depth == depth * (2 if kind == "encoder-decoder" else 1)
    assert {layer.heads.query for layer in design.layers} == {heads}
    patterns = [layer.pattern for layer in design.layers]
    assert patterns == [layer.pattern for layer in design.canonical().layers]


def test_presets_name_their_sources_and_each_kind_has_its_own() -> None:
    assert all("arXiv:" in p.source and p.what for p in PRESETS.values())
    assert [name for name, p in PRESETS.items() if "encoder-decoder" in p.kinds] == [
        "mha", "gqa", "mqa"
    ]  # fmt: skip
    assert set(DEFAULT_PRESETS) < set(PRESETS)


SIZES: dict[str, Any] = {"width": 256, "depth": 12, "context": 8192, "heads": 8, "dim": 32}


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("mha", "decoder", "12 × dense 8:8"),
        ("gqa", "encoder", "encoder 12 × dense 8:2"),
        (
            "mqa",
            "encoder-decoder",
            "encoder 12 × dense 8:1 | decoder 12 × (dense 8:1, cross 8:1)",
        ),
        ("sliding-window", "decoder", "12 × window 1024 8:2"),
        ("local-global", "decoder", "2 × (5 × window 1024 8:2, dense 8:2)"),
        ("sinks", "decoder", "12 × sinks 4 + window 1024 8:2"),
        ("strided", "decoder", "12 × strided 90 8:8"),
        ("longformer", "encoder", "encoder 12 × global 1 + window 257 8:8"),
        (
            "big-bird",
            "decoder",
            "12 × BigBird 3 window + 2 global + 3 random blocks of 64 8:8",
        ),
        ("linformer", "encoder", "encoder 12 × low-rank 256 8:8"),
        ("mla", "decoder", "12 × dense 8:8 latent 128+16"),
        ("cla", "decoder", "6 × (dense 8:1, dense 8:1 reused KV)"),
        ("yoco", "decoder", "6 × window 1024 8:2, dense 8:2, 5 × dense 8:2 reused KV"),
        ("albert", "encoder", "encoder dense 8:8, 11 × tied"),
        (
            "linear-hybrid",
            "decoder",
            "3 × (3 × gated linear 8:8 no position, dense 8:2 no position)",
        ),
        ("nope-hybrid", "decoder", "3 × (3 × dense 8:2, dense 8:2 no position)"),
    ],
)
def test_a_preset_in_words(name: str, kind: ModelKind, words: str) -> None:
    assert in_words(preset(name, **SIZES, kind=kind)) == words


@pytest.mark.parametrize(
    ("name", "depth", "words"),
    [
        ("local-global", 1, "dense 8:2"),
        ("local-global", 3, "2 × window 1024 8:2, dense 8:2"),
        ("local-global", 14, "2 × (5 × window 1024 8:2, dense 8:2), 2 × window 1024 8:2"),
        ("cla", 1, "dense 8:1"),
        ("cla", 3, "dense 8:1, dense 8:1 reused KV, dense 8:1"),
        ("yoco", 1, "dense 8:2"),
        ("yoco", 2, "window 1024 8:2, dense 8:2"),
        ("yoco", 3, "window 1024 8:2, dense 8:2, dense 8:2 reused KV"),
        ("albert", 1, "dense 8:8"),
        ("linear-hybrid", 2, "gated linear 8:8 no position, dense 8:2 no position"),
        ("nope-hybrid", 5, "3 × dense 8:2, dense 8:2 no position, dense 8:2"),
    ],
)
def test_a_preset_of_few_layers_keeps_its_idea(name: str, depth: int, words: str) -> None:
    sizes: dict[str, Any] = SIZES | {"depth": depth}
    assert in_words(preset(name, **sizes)) == words


HEADS = Heads.grouped(8, kv=2, dim=16)
LAYER = LayerDesign(HEADS, position=NoPosition())


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (LayerDesign(HEADS), "dense 8:2"),
        (LayerDesign(HEADS, SlidingWindow(2000)), "dense 8:2"),
        (LayerDesign(HEADS, SlidingWindow(64), Rotary(5e5)), "window 64 8:2 rotary base 500000"),
        (LayerDesign(HEADS, split=Split(SlidingWindow(64), 1)), "dense 4:1 and window 64 4:1"),
        (LayerDesign(HEADS, sharing=LatentKV(64, 16)), "dense 8:8 latent 64+16"),
        (LayerDesign(HEADS, gate=HeadGate(), score=Cosine()), "dense 8:2 cosine gated"),
        (replace(LAYER, sharing=LatentKV(64)), "dense 8:8 latent 64 no position"),
        (replace(LAYER, sharing=OneTensor()), "dense 8:2 K = V no position"),
        (replace(LAYER, score=Additive(), position=Alibi()), "dense 8:2 additive ALiBi"),
        (replace(LAYER, pattern=Hierarchical(64, 8)), "window 64 + summaries of 8 8:2 no position"),
    ],
)
def test_a_layer_in_words(layer: LayerDesign, words: str) -> None:
    assert in_words(Design(64, 1024, (layer,))) == words


def stack(letters: str) -> Design:
    kinds = {
        "d": LayerDesign(HEADS),
        "w": LayerDesign(HEADS, SlidingWindow(8)),
        "r": LayerDesign(HEADS, SlidingWindow(8), sharing=ReusedKV()),
        "t": LayerDesign(HEADS, tied=True),
    }
    return Design(64, 512, tuple(kinds[letter] for letter in letters))


@pytest.mark.parametrize(
    ("letters", "folded"),
    [
        ("d", "d"),
        ("dddd", "4 × d"),
        ("dw", "d, w"),
        ("dwdw", "2 × (d, w)"),
        ("ddwddw", "2 × (2 × d, w)"),
        ("wwdwwdw", "2 × (2 × w, d), w"),
        ("ddwdw", "d, 2 × (d, w)"),
        ("dwdwrdwdwr", "2 × (2 × (d, w), r)"),
        ("dtttwdt", "d, 3 × t, w, d, t"),
        ("drrdrr", "2 × (d, 2 × r)"),
        ("dw" * 64, "64 × (d, w)"),
    ],
)
def test_repetition_is_folded(letters: str, folded: str) -> None:
    words = in_words(stack(letters)).replace("window 8 8:2 reused KV", "r")
    words = words.replace("window 8 8:2", "w").replace("dense 8:2", "d").replace("tied", "t")
    assert words == folded


def test_tied_layers_of_both_sides_are_told_apart() -> None:
    both = LayerDesign(HEADS, kind="bidirectional")
    causal, cross = LayerDesign(HEADS), replace(LAYER, kind="cross")
    tied = [replace(layer, tied=True) for layer in (causal, cross)]
    design = Design(64, 512, (both, replace(both, tied=True), causal, cross, *tied * 2))
    assert in_words(design) == (
        "encoder dense 8:2, tied | decoder dense 8:2, cross 8:2, 2 × (tied, cross tied)"
    )


def test_presets_stand_on_known_sizes() -> None:
    """A few of the numbers that the sources give."""
    bert: dict[str, Any] = {"width": 64, "depth": 4, "context": 4096, "heads": 12, "dim": 64}
    assert preset("big-bird", **bert, kind="encoder").layers[0].pattern == BigBird(64, 2, 2, 2)
    assert preset("strided", **bert).layers[0].pattern == Strided(64)
    assert preset("sinks", **bert).layers[0].pattern == SinkWindow(512, 4)
    hybrid = preset("linear-hybrid", **bert)
    assert [layer.pattern for layer in hybrid.layers] == [GatedLinear()] * 3 + [Dense()]

"""The language of designs: any design as JSON and back, canonical forms, keys."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    preset,
)
from search_space.counts import (
    attended_pairs,
    decode_flops,
    kv_cache_bytes,
    parameters,
    prefill_flops,
)
from search_space.design import ModelKind

LAYER = LayerDesign(Heads.grouped(8, kv=2, dim=16))

sizes = st.integers(1, 12) | st.integers(1, 10_000)
counts = st.integers(1, 4)
rotaries = st.builds(Rotary, st.floats(1.001, 1e8) | st.integers(2, 10**7))
gates = st.sampled_from([NoGate(), HeadGate()])

PATTERN_STRATEGIES: dict[str, st.SearchStrategy[Pattern]] = {
    "dense": st.just(Dense()),
    "sliding-window": st.builds(SlidingWindow, sizes),
    "dilated-window": st.builds(DilatedWindow, sizes, sizes),
    "block-local": st.builds(BlockLocal, sizes),
    "strided": st.builds(Strided, sizes),
    "sink-window": st.builds(SinkWindow, sizes, sizes),
    "global-window": st.builds(GlobalWindow, sizes, sizes),
    "big-bird": st.builds(BigBird, sizes, counts, st.integers(0, 3), counts, counts),
    "hierarchical": st.builds(Hierarchical, sizes, sizes),
    "linear": st.just(Linear()),
    "gated-linear": st.just(GatedLinear()),
    "low-rank": st.builds(LowRank, sizes),
}


def test_the_strategies_know_every_pattern() -> None:
    assert set(PATTERN_STRATEGIES) == set(PATTERNS)


def patterns(kind: Kind) -> st.SearchStrategy[Pattern]:
    return st.one_of(*(PATTERN_STRATEGIES[n] for n, p in PATTERNS.items() if kind in p.kinds))


@st.composite
def heads(draw: st.DrawFn, kv: int | None = None, dim: int | None = None) -> Heads:
    kv = kv or draw(counts)
    return Heads(kv * draw(counts), kv, dim or 2 * draw(st.integers(1, 64)))


@st.composite
def layers(draw: st.DrawFn, kind: Kind) -> LayerDesign:
    """Any layer of the language that takes nothing from an earlier one."""
    h, pattern, split = draw(heads()), draw(patterns(kind)), None
    if h.kv > 1 and not isinstance(pattern, LowRank) and draw(st.booleans()):
        other = draw(patterns(kind).filter(lambda p: not isinstance(p, LowRank)))
        split = Split(other, draw(st.integers(1, h.kv - 1)))
    both = [pattern, split.pattern] if split else [pattern]
    state, tokens = any(p.keeps_state for p in both), all(p.tokens_only for p in both)

    places = [st.just(NoPosition())]
    places += [] if kind == "cross" else [rotaries]
    places += [st.just(Alibi())] if tokens and kind != "cross" else []
    position = draw(st.one_of(*places))
    turned = st.integers(1, 8).map(lambda n: 2 * n) if position.turns else st.just(0)

    sharings = [st.just(OwnKV())]
    sharings += [st.just(OneTensor())] if tokens else []
    sharings += [st.builds(LatentKV, sizes, turned)] if tokens and split is None else []
    sharing = draw(st.one_of(*sharings))

    scores = [ScaledDot()] if state else [ScaledDot(), Dot()]
    scores += [] if state or isinstance(sharing, LatentKV) else [Cosine()]
    additive = tokens and not isinstance(sharing, LatentKV) and not position.turns
    scores += [Additive()] if additive else []
    score = draw(st.sampled_from(scores))
    return LayerDesign(h, pattern, position, split, sharing, score, draw(gates), kind)


@st.composite
def reusing(draw: st.DrawFn, anchor: LayerDesign, context: int) -> LayerDesign:
    """Any layer that attends to the keys and values of the anchor."""
    kind = anchor.kind
    pattern = draw(patterns(kind) | st.just(anchor.pattern))
    if not anchor.pattern.covers(pattern, context if kind == "causal" else 0):
        pattern = anchor.pattern
    places = [anchor.position] if anchor.position.turns or kind == "cross" else [NoPosition()]
    places += [Alibi()] if pattern.tokens_only and not anchor.position.turns else []
    position = draw(st.sampled_from(places if kind != "cross" else places[:1]))
    scores = [Cosine()] if anchor.score.treats_keys else [ScaledDot(), Dot()]
    scores += [] if position.turns or anchor.score.treats_keys else [Additive()]
    score = draw(st.sampled_from(scores))
    h = draw(heads(anchor.heads.kv, anchor.heads.dim))
    return LayerDesign(h, pattern, position, None, ReusedKV(), score, draw(gates), kind)


def lends(anchor: LayerDesign) -> bool:
    """Whether other layers may reuse the anchor's keys and values."""
    whole = anchor.split is None and anchor.pattern.tokens_only
    return whole and not isinstance(anchor.sharing, LatentKV)


@st.composite
def designs(draw: st.DrawFn, longest: int = 10_000) -> Design:
    """Any design of the language: decoders, encoders, both; layers that reuse, and tied ones."""
    context = draw(st.integers(2, min(40, longest)) | st.integers(2, longest))
    encoder = draw(st.integers(0, 3))
    kinds: list[Kind] = ["bidirectional" for _ in range(encoder)]
    for number in range(draw(st.integers(0 if encoder else 1, 3))):
        kinds.append("causal")
        if encoder and (number == 0 or draw(st.booleans())):
            kinds.append("cross")
    anchors: dict[Kind, LayerDesign] = {}
    chosen = []
    for kind in kinds:
        anchor, choice = anchors.get(kind), draw(st.sampled_from(["own", "tied", "reused"]))
        if anchor and choice == "tied":
            chosen.append(replace(anchor, tied=True))
        elif anchor and choice == "reused" and lends(anchor):
            chosen.append(draw(reusing(anchor, context)))
        else:
            anchors[kind] = draw(layers(kind))
            chosen.append(anchors[kind])
    return Design(8 * draw(st.integers(1, 64)), context, tuple(chosen))


@given(designs())
def test_json_gives_back_the_same_design_and_key(design: Design) -> None:
    back = Design.from_json(design.to_json())
    assert back == design
    assert back.to_json() == design.to_json()
    assert back.key == design.key == design.canonical().key


@given(designs())
def test_the_canonical_form_is_a_fixed_point_that_counts_the_same(design: Design) -> None:
    simple, n = design.canonical(), design.context
    assert simple.canonical() == simple
    assert simple.kind == design.kind
    assert kv_cache_bytes(simple, n) == kv_cache_bytes(design, n)
    assert attended_pairs(simple, n) == attended_pairs(design, n)
    assert parameters(simple, 10) == parameters(design, 10)
    assert prefill_flops(simple, n, 10) == prefill_flops(design, n, 10)
    assert decode_flops(simple, n, 10) == decode_flops(design, n, 10)


@given(designs(longest=40))
def test_a_layer_that_reuses_keys_finds_all_that_it_attends_to(design: Design) -> None:
    i = np.arange(design.context)
    for layer, number in zip(design.layers, design.anchors(), strict=True):
        if isinstance(layer.sharing, ReusedKV) and layer.kind == "causal":
            assert number is not None
            first, recent = design.layers[number].pattern.kept(design.context)
            wanted = layer.pattern.visible(i[:, None], i[None, :])  # (query, key)
            kept = (i[None, :] < first) | (i[None, :] > i[:, None] - recent)
            assert not (wanted & ~kept).any()


def made_or_refused(parts: dict[str, Any]) -> LayerDesign | str:
    try:
        return LayerDesign(**parts)
    except DesignError as refusal:
        return str(refusal)


@given(st.data())
def test_any_parts_make_a_layer_or_are_refused_with_a_sentence(data: st.DataObject) -> None:
    any_pattern = st.one_of(*PATTERN_STRATEGIES.values())
    latents = st.builds(LatentKV, sizes, st.sampled_from([0, 2]))
    fields = {
        "heads": heads(),
        "pattern": any_pattern,
        "position": st.sampled_from([Rotary(), Alibi(), NoPosition()]),
        "split": st.none() | st.builds(Split, any_pattern, counts),
        "sharing": st.sampled_from([OwnKV(), OneTensor(), ReusedKV()]) | latents,
        "score": st.sampled_from([ScaledDot(), Dot(), Cosine(), Additive()]),
        "gate": gates,
        "kind": st.sampled_from(["causal", "bidirectional", "cross"]),
        "tied": st.booleans(),
    }
    parts = {name: data.draw(strategy) for name, strategy in fields.items()}
    made = made_or_refused(parts)
    if isinstance(made, str):
        assert len(made.split()) > 5
    else:
        assert made.describe()
        assert made.canonical(16).canonical(16) == made.canonical(16)


@pytest.mark.parametrize("window", [64, 65, 1000])
def test_a_window_as_long_as_the_context_is_dense(window: int) -> None:
    windowed = Design(64, 64, (LayerDesign(LAYER.heads, SlidingWindow(window)),))
    assert windowed.key == Design(64, 64, (LAYER,)).key
    assert Design(64, 64, (LayerDesign(LAYER.heads, SlidingWindow(63)),)).key != windowed.key


def test_the_kv_heads_of_a_latent_do_not_matter() -> None:
    keys = {
        Design(64, 64, (LayerDesign(Heads(8, kv, 16), sharing=LatentKV(32, 8)),)).key
        for kv in (1, 2, 8)
    }
    assert len(keys) == 1


def split(first: Pattern, second: Pattern, **parts: object) -> LayerDesign:
    """Two KV heads with a pattern each."""
    return replace(LAYER, pattern=first, split=Split(second, 1), **parts)


def test_a_split_into_equal_patterns_is_none() -> None:
    halves = Design(64, 64, (split(SlidingWindow(64), Dense()),))
    assert halves.canonical() == Design(64, 64, (LAYER,))


def test_which_half_of_a_split_comes_first_matters_to_alibi_alone() -> None:
    near, far = SlidingWindow(4), Dense()
    for position in (Rotary(), NoPosition()):
        one, other = (split(*p, position=position) for p in ((near, far), (far, near)))
        assert Design(64, 64, (one,)).key == Design(64, 64, (other,)).key
    one, other = (split(*p, position=Alibi()) for p in ((near, far), (far, near)))
    assert Design(64, 64, (one,)).key != Design(64, 64, (other,)).key  # slopes go by head


def test_a_tied_layer_keeps_the_order_of_its_anchors_halves() -> None:
    one, other = split(SlidingWindow(4), Dense()), split(Dense(), SlidingWindow(4))
    assert Design(64, 64, (one, replace(one, tied=True))).canonical().layers[1].tied
    with pytest.raises(
        DesignError, match=r"layer 1 is tied from layer 0: .* both must be the same"
    ):
        Design(64, 64, (one, replace(other, tied=True)))


def test_equal_designs_have_equal_keys_whichever_number_type_wrote_the_base() -> None:
    whole, real = (
        Design(64, 64, (LayerDesign(LAYER.heads, Dense(), Rotary(base)),)) for base in (10, 10.0)
    )
    assert whole == real
    assert whole.key == real.key


def as_written(layers: list[dict[str, object]], width: int, context: int) -> str:
    return json.dumps({"context": context, "language": 1, "layers": layers, "width": width})


def plain_layer(query: int, kv: int, dim: int, window: int = 0, base: float | None = 1e4) -> dict:
    return {
        "heads": {"dim": dim, "kv": kv, "query": query},
        "pattern": {"name": "sliding-window", "window": window} if window else {"name": "dense"},
        "position": {"base": base, "name": "rotary"} if base else {"name": "none"},
    }


MHA, LOCAL, GLOBAL = (
    plain_layer(4, 4, 16),
    plain_layer(8, 2, 16, 64, 5e5),
    plain_layer(8, 2, 16),
)
DEEP = [
    plain_layer(6, 3, 16),
    plain_layer(6, 6, 32, 2000),
    plain_layer(6, 1, 16, 10, None),
    *(plain_layer(4, 2, 8, window) for window in (1, 2, 500, 999, 1000)),
]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (as_written([MHA] * 2, 64, 128), "443c5891f33e5b83"),
        (as_written([LOCAL, GLOBAL] * 3, 128, 512), "f768af8e9a9b711f"),
        (as_written(DEEP, 96, 1000), "26f9e85d7e7f9c04"),
    ],
)
def test_keys_outlive_the_growth_of_the_language(text: str, key: str) -> None:
    design = Design.from_json(text)
    assert design.to_json() == text
    assert design.key == key


def test_the_kinds_of_a_model_follow_from_its_layers() -> None:
    sizes: dict[str, Any] = {"width": 64, "depth": 3, "context": 64, "heads": 4, "dim": 16}
    made = [preset("gqa", **sizes, kind=kind) for kind in get_args(ModelKind)]
    assert [design.kind for design in made] == list(get_args(ModelKind))
    assert [design.depth for design in made] == [3, 3, 6]
    assert [len(design.stack("cross")) for design in made] == [0, 0, 3]


PLAIN = json.loads(Design(64, 64, (LAYER,)).to_json())
FIRST = PLAIN["layers"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"language": 2}, "language version 1, but got 2"),
        ({"language": True}, "language version 1, but got True"),
        ({"width": 64.0}, "width must be a whole number, but got 64.0"),
        ({"width": True}, "width must be a whole number, but got True"),
        ({"depth": 1}, "unknown depth"),
        ({"layers": "dense"}, "list of layers"),
        ({"layers": [3]}, "layer 0 must be a mapping, but got 3"),
        ({"layers": [{"heads": {}}]}, "layer 0 lacks pattern, position"),
        ({"layers": [FIRST | {"heads": {"query": 1}}]}, "layer 0 heads lacks dim, kv"),
        ({"layers": [FIRST | {"pattern": {"name": "dence"}}]}, "must name one of"),
        ({"layers": [FIRST | {"pattern": {"name": ["dense"]}}]}, "must name one of"),
        ({"layers": [FIRST | {"pattern": {"name": "dense", "w": 1}}]}, "unknown w"),
        ({"layers": [FIRST | {"pattern": {"name": "strided", "stride": 2.0}}]}, "whole number"),
        ({"layers": [FIRST | {"sharing": {"name": "latent", "rank": 8}}]}, "lacks rotary_dim"),
        ({"layers": [FIRST | {"score": "cosine"}]}, "score must name one of scaled-dot, dot"),
        ({"layers": [FIRST | {"gate": {"name": "mlp"}}]}, "gate must name one of none, head"),
        ({"layers": [FIRST | {"kind": "backward"}]}, "kind is one of causal, bidirectional, cross"),
        ({"layers": [FIRST | {"kind": ["causal"]}]}, "kind is one of"),
        ({"layers": [FIRST | {"tied": 1}]}, "tied must be true or false, but got 1"),
        ({"layers": [FIRST | {"split": {"kv_heads": 1}}]}, "split lacks pattern"),
        (
            {"layers": [FIRST | {"split": {"kv_heads": 1.0, "pattern": {"name": "dense"}}}]},
            "split: kv_heads must be a whole number",
        ),
        (
            {"layers": [FIRST | {"position": {"name": "rotary", "base": 10**400}}]},
            "base must be a number",
        ),
    ],
)
def test_json_that_is_no_design_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(DesignError, match=words):
        Design.from_plain(PLAIN | change)


@pytest.mark.parametrize("text", ["", "[", "null", "[" * 100_000, "1" * 5_000, "NaN", '{"a": 1}'])
def test_text_that_is_no_design_is_refused(text: str) -> None:
    with pytest.raises(DesignError):
        Design.from_json(text)

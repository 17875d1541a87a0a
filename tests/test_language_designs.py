"""The language of designs: legality, canonical keys, counts by hand, JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_space import (
    PRESETS,
    Dense,
    Design,
    DesignError,
    Heads,
    LayerDesign,
    Pattern,
    Rotary,
    SlidingWindow,
    preset,
)
from search_space.counts import (
    attended_pairs,
    decode_flops,
    kv_cache_bytes,
    parameters,
    prefill_flops,
    train_step_flops,
)

HEADS = LayerDesign(Heads.grouped(8, kv=2, dim=16))


@st.composite
def layers(draw: st.DrawFn) -> LayerDesign:
    kv, group = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    heads = Heads.grouped(kv * group, kv=kv, dim=2 * draw(st.integers(1, 64)))
    window = draw(st.none() | st.integers(1, 10_000))
    base = draw(st.floats(1.001, 1e8) | st.integers(2, 10**7))
    return LayerDesign(heads, Dense() if window is None else SlidingWindow(window), Rotary(base))


designs = st.builds(
    Design,
    st.integers(1, 64).map(lambda n: 8 * n),
    st.integers(2, 10_000),
    st.lists(layers(), min_size=1, max_size=5).map(tuple),
)


@given(designs)
def test_json_gives_back_the_same_design_and_key(design: Design) -> None:
    back = Design.from_json(design.to_json())
    assert back == design
    assert back.to_json() == design.to_json()
    assert back.key == design.key == design.canonical().key


@given(designs)
def test_the_canonical_form_is_a_fixed_point_that_counts_the_same(design: Design) -> None:
    simple = design.canonical()
    assert simple.canonical() == simple
    assert kv_cache_bytes(simple, design.context) == kv_cache_bytes(design, design.context)
    assert attended_pairs(simple, design.context) == attended_pairs(design, design.context)


@pytest.mark.parametrize("window", [64, 65, 1000])
def test_a_window_as_long_as_the_context_is_dense(window: int) -> None:
    windowed = Design(64, 64, (LayerDesign(HEADS.heads, SlidingWindow(window)),))
    assert windowed.key == Design(64, 64, (HEADS,)).key
    assert Design(64, 64, (LayerDesign(HEADS.heads, SlidingWindow(63)),)).key != windowed.key


def test_equal_designs_have_equal_keys_whichever_number_type_wrote_the_base() -> None:
    whole, real = (
        Design(64, 64, (LayerDesign(HEADS.heads, Dense(), Rotary(base)),)) for base in (10, 10.0)
    )
    assert whole == real
    assert whole.key == real.key


@pytest.mark.parametrize("pattern", [Dense(), *map(SlidingWindow, (1, 2, 3, 7, 31, 32, 33))])
def test_counts_of_a_pattern_equal_its_explicit_mask(pattern: Pattern) -> None:
    for n in range(1, 41):
        i = np.arange(n)
        mask = pattern.sees(i[:, None], i[None, :])  # (query, key)
        assert pattern.attended_pairs(n) == mask.sum()
        assert pattern.cached_positions(n) == mask[-1].sum()
        assert not np.triu(mask, 1).any()
        assert mask.diagonal().all()


def test_counts_equal_those_worked_out_by_hand() -> None:
    heads = Heads(2, 1, 4)
    design = Design(16, 8, (LayerDesign(heads), LayerDesign(heads, SlidingWindow(3))))
    block = 2 * 16 * 2 * 4 + 2 * 16 * 1 * 4 + 3 * 16 * 64  # q and o, k and v, gated MLP of 64
    assert design.mlp_width == 64
    assert parameters(design, vocabulary=10) == 2 * block + 2 * 10 * 16 + 5 * 16
    pairs = 36 + (1 + 2 + 6 * 3)
    assert attended_pairs(design, 8) == 2 * pairs
    prefill = 8 * 2 * 2 * block + 4 * 2 * 4 * pairs + 2 * 10 * 16
    assert prefill_flops(design, 8, 10) == prefill
    assert decode_flops(design, 8, 10) == 2 * 2 * block + 2 * 10 * 16 + 4 * 2 * 4 * (8 + 3)
    assert train_step_flops(design, 8, 5, 10) == 15 * (prefill + 7 * 2 * 10 * 16)
    assert kv_cache_bytes(design, 8, "bfloat16", batch=3) == 3 * 2 * (2 * 1 * 4) * (8 + 3)


@pytest.mark.parametrize("heads", [1, 4, 6, 32])
def test_one_shared_kv_head_divides_the_cache_by_the_number_of_heads(heads: int) -> None:
    sizes = {"width": 64, "depth": 3, "context": 100, "heads": heads, "dim": 8}
    mha, mqa = (kv_cache_bytes(preset(name, **sizes), 100) for name in ("mha", "mqa"))
    assert mha == heads * mqa


def test_a_window_caches_no_more_than_the_context() -> None:
    design = Design(64, 1000, (LayerDesign(HEADS.heads, SlidingWindow(100)),))
    per_token = 2 * 2 * 16 * 4
    cached = {n: kv_cache_bytes(design, n) / per_token for n in (1, 99, 100, 101, 1000)}
    assert cached == {1: 1, 99: 99, 100: 100, 101: 100, 1000: 100}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("heads", [1, 3, 8])
def test_every_preset_builds_at_any_size(name: str, heads: int) -> None:
    for context in (2, 7, 8, 4096):
        assert preset(name, width=8, depth=2, context=context, heads=heads, dim=2).depth == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Heads(6, 4, 8), "multiple of KV heads, but got query=6, kv=4; try kv=3"),
        (lambda: Heads(0, 1, 8), "query heads must be at least 1, but got 0"),
        (lambda: Heads(4, 0, 8), "KV heads must be at least 1, but got 0"),
        (lambda: Heads(4, 2, 7), "must be even .*but got 7; try 8"),
        (lambda: SlidingWindow(0), "at least 1, but got 0"),
        (lambda: Rotary(1.0), "above 1, but got 1.0"),
        (lambda: Rotary(float("nan")), "finite number above 1, but got nan"),
        (lambda: Design(20, 64, (HEADS,)), "multiple of 8, but got 20; try 16"),
        (lambda: Design(64, 1, (HEADS,)), "at least 2, but got 1"),
        (lambda: Design(64, 64, ()), "at least one layer"),
        (lambda: preset("mla", width=8, depth=1, context=8, heads=1, dim=2), "no preset 'mla'"),
        (lambda: kv_cache_bytes(Design(64, 64, (HEADS,)), 8, "int3"), "dtype must be one of"),
    ],
)
def test_an_illegal_value_is_refused_with_the_rule_and_the_values(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(DesignError, match=words):
        make()


PLAIN = json.loads(Design(64, 64, (HEADS,)).to_json())


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
        ({"layers": [PLAIN["layers"][0] | {"pattern": {"name": "dence"}}]}, "must name one of"),
        ({"layers": [PLAIN["layers"][0] | {"pattern": {"name": "dense", "w": 1}}]}, "unknown w"),
        (
            {"layers": [PLAIN["layers"][0] | {"position": {"name": "rotary", "base": 10**400}}]},
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

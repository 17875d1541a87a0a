"""Counts equal those worked out by hand, one element of the language at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search_space import (
    Additive,
    Cosine,
    Dense,
    Design,
    Dot,
    GatedLinear,
    HeadGate,
    Heads,
    Hierarchical,
    LatentKV,
    LayerDesign,
    Linear,
    LowRank,
    NoPosition,
    OneTensor,
    ReusedKV,
    SinkWindow,
    SlidingWindow,
    Split,
)
from search_space.counts import (
    attended_pairs,
    decode_flops,
    kv_cache_bytes,
    parameters,
    prefill_flops,
    train_step_flops,
)

WIDTH, CONTEXT = 16, 32
LAYER = LayerDesign(Heads(query=4, kv=2, dim=8), position=NoPosition())
OWN = 2 * 16 * 32 + 2 * 16 * 16  # queries and output, keys and values
LATENT = LatentKV(12)
TURNED = LayerDesign(Heads(4, 2, 8), sharing=LatentKV(12, 4))
REUSED = replace(LAYER, sharing=ReusedKV())
BOTH = replace(LAYER, kind="bidirectional")
HALVES = replace(LAYER, split=Split(SlidingWindow(3), 1))


@pytest.mark.parametrize(
    ("layer", "weights"),
    [
        (LAYER, OWN),
        (replace(LAYER, sharing=OneTensor()), 2 * 16 * 32 + 16 * 16),
        (replace(LAYER, sharing=LATENT), 2 * 16 * 32 + 16 * 12 + 2 * 12 * 32 + 12),
        (TURNED, 2 * 16 * 32 + 16 * 4 * 4 + 16 * (12 + 4) + 2 * 12 * 32 + 12),
        (REUSED, 2 * 16 * 32),
        (replace(LAYER, gate=HeadGate()), OWN + 16 * 4),
        (replace(LAYER, score=Dot()), OWN),
        (replace(LAYER, score=Cosine()), OWN + 8 + 8),
        (replace(REUSED, score=Cosine()), 2 * 16 * 32 + 8),
        (replace(LAYER, score=Additive()), OWN + 4 * 8),
        (replace(LAYER, pattern=Linear()), OWN),
        (replace(LAYER, pattern=GatedLinear()), OWN + 2 * (16 + 1)),
        (replace(LAYER, split=Split(GatedLinear(), 1)), OWN + (16 + 1)),
        (replace(BOTH, pattern=LowRank(6)), OWN + 2 * CONTEXT * 6),
        (HALVES, OWN),
    ],
)
def test_weights_of_a_layer(layer: LayerDesign, weights: int) -> None:
    assert layer.parameters(WIDTH, CONTEXT) == weights


@pytest.mark.parametrize(
    ("layer", "numbers"),
    [
        (LAYER, 2 * 2 * 8 * 10),
        (replace(LAYER, sharing=OneTensor()), 2 * 8 * 10),
        (replace(LAYER, sharing=LATENT), 12 * 10),
        (TURNED, (12 + 4) * 10),
        (replace(TURNED, pattern=SlidingWindow(3)), (12 + 4) * 3),
        (REUSED, 0),
        (replace(LAYER, pattern=SlidingWindow(3)), 2 * 2 * 8 * 3),
        (replace(LAYER, pattern=SinkWindow(3, 2)), 2 * 2 * 8 * 5),
        (replace(LAYER, pattern=Hierarchical(4, 3)), 2 * 2 * 8 * (2 + 6)),
        (replace(LAYER, pattern=Linear()), 2 * (8 * 8 + 8)),
        (replace(LAYER, pattern=GatedLinear()), 2 * 8 * 8),
        (HALVES, 2 * 8 * 10 + 2 * 8 * 3),
        (BOTH, 0),
        (replace(LAYER, kind="cross"), 2 * 2 * 8 * 10),
    ],
)
def test_numbers_that_decoding_keeps_of_ten_tokens(layer: LayerDesign, numbers: int) -> None:
    assert layer.cache_elements(10) == numbers


@pytest.mark.parametrize(
    ("layer", "flops"),
    [
        (LAYER, 4 * 55 * (2 * 8 + 2 * 8)),
        (replace(LAYER, score=Additive()), 4 * 55 * (4 * 8 + 2 * 8)),
        (TURNED, 4 * 55 * (2 * 12 + 2 * 8)),
        (HALVES, (2 * 55 + 2 * (1 + 2 + 8 * 3)) * 32),
        (BOTH, 4 * 100 * 32),
        (replace(LAYER, kind="cross"), 4 * 100 * 32),
        (replace(LAYER, pattern=Linear()), 10 * 2 * (4 + 2) * (64 + 8)),
        (replace(LAYER, pattern=GatedLinear()), 10 * (2 * 4 + 3 * 2) * 64),
        (replace(BOTH, pattern=LowRank(6)), 2 * 2 * 2 * 8 * 10 * 6 + 4 * 60 * 32),
    ],
)
def test_flops_of_mixing_ten_tokens(layer: LayerDesign, flops: int) -> None:
    assert layer.mixing_flops(10) == flops


@pytest.mark.parametrize(
    ("layer", "flops"),
    [
        (LAYER, 4 * 10 * 32),
        (replace(LAYER, pattern=SlidingWindow(3)), 4 * 3 * 32),
        (HALVES, 2 * 10 * 32 + 2 * 3 * 32),
        (TURNED, 4 * 10 * (2 * (12 + 4) + 2 * 12)),  # up-projections are absorbed
        (replace(LAYER, pattern=Linear()), 2 * (4 + 2) * (64 + 8)),
    ],
)
def test_flops_of_mixing_the_tenth_token(layer: LayerDesign, flops: int) -> None:
    assert layer.decode_flops(10) == flops


def test_counts_of_a_decoder() -> None:
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


MLP = 3 * 16 * 64


def test_tied_layers_cost_work_and_cache_but_no_weights() -> None:
    one, three = (Design(WIDTH, CONTEXT, (LAYER, *[replace(LAYER, tied=True)] * n)) for n in (0, 2))
    assert parameters(three, 10) == parameters(one, 10) == OWN + MLP + 2 * 10 * 16 + 3 * 16
    assert kv_cache_bytes(three, 10) == 3 * kv_cache_bytes(one, 10)
    logits = 2 * 10 * 16
    assert prefill_flops(three, 8, 10) - logits == 3 * (prefill_flops(one, 8, 10) - logits)


def test_counts_of_an_encoder() -> None:
    design = Design(WIDTH, CONTEXT, (BOTH, BOTH))
    assert parameters(design, 10) == 2 * (OWN + MLP) + 2 * 10 * 16 + 5 * 16
    assert attended_pairs(design, 8) == 2 * 4 * 64
    assert prefill_flops(design, 8, 10) == 2 * (8 * 2 * (OWN + MLP) + 4 * 64 * 32) + 2 * 10 * 16
    assert decode_flops(design, 8, 10) == kv_cache_bytes(design, 8) == 0


def test_counts_of_an_encoder_decoder() -> None:
    design = Design(WIDTH, CONTEXT, (BOTH, LAYER, replace(LAYER, kind="cross")))
    keys, logits = 2 * 16 * 16, 2 * 10 * 16
    # norms: before three attentions and two MLPs, and one behind each stack
    assert parameters(design, 10) == 3 * OWN + 2 * MLP + 2 * 10 * 16 + 7 * 16
    assert attended_pairs(design, 8) == 4 * (64 + 36 + 64)
    # a token decodes with all of its own layer, and without the cross layer's keys and values
    weights = OWN + MLP + (OWN - keys)
    assert decode_flops(design, 8, 10) == 2 * weights + 4 * (8 + 8) * 32 + logits
    encoder = 8 * 2 * (OWN + MLP) + 4 * 64 * 32
    first = 2 * weights + 4 * (1 + 8) * 32
    assert prefill_flops(design, 8, 10) == encoder + 8 * 2 * keys + first + logits
    whole = encoder + 8 * 2 * (2 * OWN + MLP) + 4 * (36 + 64) * 32 + 8 * logits
    assert train_step_flops(design, 8, 5, 10) == 15 * whole
    assert kv_cache_bytes(design, 8) == 2 * (2 * 2 * 8 * 8) * 4


def test_a_window_caches_no_more_than_the_context() -> None:
    heads = Heads.grouped(8, kv=2, dim=16)
    design = Design(64, 1000, (LayerDesign(heads, SlidingWindow(100)),))
    per_token = 2 * 2 * 16 * 4
    cached = {n: kv_cache_bytes(design, n) / per_token for n in (1, 99, 100, 101, 1000)}
    assert cached == {1: 1, 99: 99, 100: 100, 101: 100, 1000: 100}


def test_types_of_numbers_have_their_sizes() -> None:
    design = Design(WIDTH, CONTEXT, (replace(LAYER, pattern=Dense()),))
    sizes = {"float32": 4, "bfloat16": 2, "float16": 2, "float8": 1, "int8": 1}
    assert {name: kv_cache_bytes(design, 10, name) / 320 for name in sizes} == sizes

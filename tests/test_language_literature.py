"""Known numbers: what papers and model cards say of these designs, and what the counts give."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from search_space import (
    Design,
    Heads,
    LatentKV,
    LayerDesign,
    SinkWindow,
    SlidingWindow,
    preset,
)
from search_space.counts import attended_pairs, kv_cache_bytes, parameters
from search_space.design import ModelKind

SIZES: dict[str, Any] = {"width": 512, "depth": 30, "context": 131_072, "heads": 16, "dim": 64}


def cache(name: str, context: int = 131_072, **sizes: int) -> int:
    chosen: dict[str, Any] = SIZES | sizes
    return kv_cache_bytes(preset(name, **chosen), context, "bfloat16")


@pytest.mark.parametrize("heads", [1, 4, 6, 32])
def test_one_shared_kv_head_divides_the_cache_by_the_number_of_heads(heads: int) -> None:
    assert cache("mha", heads=heads) == heads * cache("mqa", heads=heads)


def test_reusing_every_second_layers_keys_halves_the_cache_of_mqa() -> None:
    assert cache("mqa") == 2 * cache("cla")


def test_five_windows_to_one_dense_layer_divide_the_cache_by_nearly_six() -> None:
    assert cache("gqa") / cache("local-global") == pytest.approx(5.8, rel=0.02)


def test_the_cache_of_a_latent_equals_that_of_two_and_a_quarter_groups() -> None:
    """DeepSeek-V2, arXiv:2405.04434, section 2.1.4."""
    latent = LayerDesign(Heads.multi(128, dim=128), sharing=LatentKV(512, 64))
    group = LayerDesign(Heads(128, 1, 128))
    assert latent.cache_elements(1000) == 2.25 * group.cache_elements(1000)
    layer = preset("mla", width=5120, depth=1, context=64, heads=128, dim=128).layers[0]
    assert layer == latent


def attention_weights(layer: LayerDesign, width: int, depth: int) -> int:
    return depth * layer.parameters(width, 4096)


def test_weights_of_deepseek_v2_lites_attention() -> None:
    """Queries are projected directly there; 16 heads, width 2048."""
    layer = LayerDesign(Heads.multi(16, dim=128), sharing=LatentKV(512, 64))
    q, kv_a, kv_b, o = 2048 * 16 * 192, 2048 * 576, 512 * 16 * 256, 16 * 128 * 2048
    assert attention_weights(layer, 2048, 1) == q + kv_a + kv_b + o + 512 == 13_763_072


@pytest.mark.parametrize("window", [None, 4096], ids=["Llama-3-8B", "Mistral-7B"])
def test_weights_of_the_attention_of_llama_3_8b_and_mistral_7b(window: int | None) -> None:
    heads = Heads.grouped(32, kv=8, dim=128)
    layer = LayerDesign(heads, SlidingWindow(window)) if window else LayerDesign(heads)
    q_and_o, k_and_v = 2 * 4096 * 4096, 2 * 4096 * 1024
    assert attention_weights(layer, 4096, 32) == 32 * (q_and_o + k_and_v) == 1_342_177_280


def test_cache_of_llama_3_8b_and_llama_2_7b_for_each_token() -> None:
    grouped = Design(4096, 8192, (LayerDesign(Heads(32, 8, 128)),) * 32)
    multi = Design(4096, 4096, (LayerDesign(Heads(32, 32, 128)),) * 32)
    assert kv_cache_bytes(grouped, 1, "bfloat16") == 128 * 1024
    assert kv_cache_bytes(multi, 1, "float16") == 512 * 1024


def test_mistrals_window_divides_the_cache_by_eight_at_32k() -> None:
    """arXiv:2310.06825, section 2."""
    sizes: dict[str, Any] = {"width": 4096, "depth": 32, "context": 32_768, "heads": 32, "dim": 128}
    assert preset("sliding-window", **sizes).layers[0].pattern == SlidingWindow(4096)
    dense, local = (kv_cache_bytes(preset(n, **sizes), 32_768) for n in ("gqa", "sliding-window"))
    assert dense == 8 * local


def test_albert_has_the_weights_of_one_block() -> None:
    deep, plain = preset("albert", **SIZES), preset("mha", **SIZES)
    one = replace(deep, layers=deep.layers[:1])
    assert parameters(deep, 1000) == parameters(one, 1000)
    embeddings = 2 * 1000 * 512 + 512  # with the last norm
    blocks = parameters(plain, 1000) - embeddings
    assert 30 * (parameters(deep, 1000) - embeddings) == blocks
    assert cache("albert") == cache("mha")


def test_yoco_keeps_one_dense_layer_and_windows() -> None:
    one_layer = cache("gqa") // 30
    assert cache("yoco") == one_layer + 15 * one_layer * 1024 // 131_072
    assert cache("gqa") / cache("yoco") > 25


def test_a_hybrid_of_three_linear_layers_to_one_keeps_a_quarter() -> None:
    """arXiv:2510.26692: up to 75% less."""
    assert cache("linear-hybrid", depth=32) / cache("gqa", depth=32) == pytest.approx(
        0.25, rel=0.02
    )


def test_the_state_of_linear_layers_does_not_grow() -> None:
    sizes = [cache("linear-hybrid", context, depth=4) for context in (1000, 2000, 3000)]
    dense = [cache("gqa", context, depth=1) for context in (1000, 2000, 3000)]
    assert len({a - b for a, b in zip(sizes, dense, strict=True)}) == 1


def test_sinks_keep_four_positions_more_than_a_window() -> None:
    layer = preset("sinks", **SIZES).layers[0]
    assert layer.pattern == SinkWindow(131_072 // 8, sinks=4)
    one = 2 * 4 * 64
    assert layer.cache_elements(131_072) == one * (131_072 // 8 + 4)


@pytest.mark.parametrize(
    ("name", "kind", "growth"),
    [
        ("mha", "decoder", 4.0),
        ("strided", "decoder", 2**1.5),  # n * sqrt(n), its stride growing with the context
        ("big-bird", "decoder", 2.0),  # at fixed sizes linear from 4096 on
        ("longformer", "encoder", 2.0),
        ("linformer", "encoder", 2.0),
    ],
)
def test_pairs_grow_as_the_papers_say(name: str, kind: ModelKind, growth: float) -> None:
    lengths = (2**14, 2**16, 2**18)
    pairs = []
    for n in lengths:
        sizes: dict[str, Any] = {"width": 64, "depth": 1, "context": n, "heads": 1, "dim": 8}
        pairs.append(attended_pairs(preset(name, **sizes, kind=kind), n))
    for fewer, more in pairwise(pairs):
        assert more / fewer == pytest.approx(growth**2, rel=0.04)

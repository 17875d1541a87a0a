"""The model has the parameters that the counts say, and decodes what its full forward computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from evaluator import CausalLM
from search_space import (
    Dense,
    Design,
    Heads,
    LayerDesign,
    Rotary,
    SlidingWindow,
    Space,
    SpaceConfig,
    counts,
)

VOCABULARY = 11


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def every_kind_of_layer(depth: int) -> Space:
    """Heads, groups, dimensions, bases, windows around every boundary, free per layer."""

    def free(*values: object) -> dict[str, object]:
        return {"choice": list(values), "place": "per-layer"}

    windows = [1, 2, 3, 7, 8, 16, 31, 32]
    return Space.from_config(
        SpaceConfig.model_validate(
            {
                "width": {"choice": [8, 24]},
                "depth": depth,
                "context": {"choice": [32, 100]},
                "layer": {
                    "query_heads": free(1, 2, 3, 4, 6),
                    "kv_heads": free(1, 2, 3, 6),
                    "head_dim": free(2, 4, 8),
                    "position": {"rotary": {"base": free(100.0, 10000.0)}},
                    "pattern": {
                        "choice": ["dense", {"sliding-window": {"window": free(*windows)}}],
                        "place": "per-layer",
                    },
                },
            }
        )
    )


def random_designs(count: int, seed: int) -> list[Design]:
    """As many of each depth: almost all designs of one space have the greatest."""
    homes, rng = [every_kind_of_layer(depth) for depth in (1, 2, 3)], np.random.default_rng(seed)
    return [homes[i % 3].sample(rng) for i in range(count)]


def random_pieces(total: int, rng: np.random.Generator) -> list[int]:
    """A prompt, then single tokens and longer pieces in any order."""
    pieces = [int(rng.integers(1, total))]
    while (left := total - sum(pieces)) > 0:
        wanted = 1 if rng.random() < 0.5 else int(rng.integers(2, 9))
        pieces.append(min(left, wanted))
    return pieces


def decoded(model: CausalLM, tokens: Tensor, pieces: list[int], capacity: int) -> Tensor:
    """Logits of all positions, the tokens given piece by piece."""
    caches = model.new_caches(tokens.shape[0], capacity)
    return torch.cat([model(piece, caches) for piece in tokens.split(pieces, dim=1)], dim=1)


def a_design(*layers: LayerDesign, width: int = 16, context: int = 32) -> Design:
    return Design(width, context, layers)


MIXED = a_design(
    LayerDesign(Heads(4, 2, 4), SlidingWindow(5)),
    LayerDesign(Heads(3, 1, 6), Dense()),
    LayerDesign(Heads(2, 2, 8), SlidingWindow(1)),
)


def test_the_random_designs_cover_the_language() -> None:
    """Guards the two tests below: their hundred designs reach every boundary."""
    designs = random_designs(100, seed=0)
    layers = [(design.context, layer) for design in designs for layer in design.layers]
    windows = {
        layer.pattern.window for _, layer in layers if isinstance(layer.pattern, SlidingWindow)
    }
    assert windows >= {1, 2, 3, 7, 8, 16, 31}
    assert any(isinstance(layer.pattern, Dense) for _, layer in layers)
    assert {layer.heads.group for _, layer in layers} >= {1, 2, 3, 6}
    assert {design.depth for design in designs} == {1, 2, 3}
    assert len({design.key for design in designs}) >= 95


@torch.no_grad()
@pytest.mark.parametrize("part", range(4))
def test_cached_decoding_equals_the_full_forward_for_random_designs(part: int) -> None:
    rng = np.random.default_rng(part)
    for design in random_designs(100, seed=0)[25 * part : 25 * part + 25]:
        torch.manual_seed(part)
        model = CausalLM(design, VOCABULARY).eval()
        tokens = torch.from_numpy(rng.integers(VOCABULARY, size=(2, 32)))
        pieces = random_pieces(32, rng)
        full = model(tokens)
        again = decoded(model, tokens, pieces, capacity=int(rng.integers(32, design.context + 1)))
        worst = float((full - again).abs().max())
        assert worst <= 1e-4, f"{worst} for pieces {pieces} of {design.to_json()}"


@torch.no_grad()
@pytest.mark.parametrize("capacity", [1, 5, 32])
def test_caches_allocate_exactly_the_bytes_that_the_counts_say(capacity: int) -> None:
    for design in [*random_designs(40, seed=1), MIXED]:
        caches = CausalLM(design, VOCABULARY).new_caches(3, capacity)
        allocated = sum(cache.keys.untyped_storage().nbytes() for cache in caches)
        allocated += sum(cache.values.untyped_storage().nbytes() for cache in caches)
        assert allocated == counts.kv_cache_bytes(design, capacity, "float32", batch=3)
        assert allocated == sum(cache.allocated_bytes for cache in caches)


def test_built_parameters_are_what_the_counts_say() -> None:
    for design in [*random_designs(40, seed=2), MIXED]:
        built = sum(weight.numel() for weight in CausalLM(design, VOCABULARY).parameters())
        assert built == counts.parameters(design, VOCABULARY)


@torch.no_grad()
@pytest.mark.parametrize(
    "pieces",
    [[32], [1] * 32, [5, *[1] * 27], [4, 1, 27], [6, 26], [31, 1], [1, 31], [16, 5, 6, 5]],
    ids=str,
)
def test_pieces_around_the_window_make_no_difference(pieces: list[int]) -> None:
    torch.manual_seed(0)
    model = CausalLM(MIXED, VOCABULARY).eval()
    tokens = torch.randint(VOCABULARY, (2, 32))
    torch.testing.assert_close(decoded(model, tokens, pieces, 32), model(tokens), atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_logits_of_a_position_follow_from_what_it_can_see() -> None:
    """A stack of windows w sees depth * (w - 1) tokens back, and no further."""
    torch.manual_seed(0)
    design = a_design(*2 * (LayerDesign(Heads(2, 1, 4), SlidingWindow(4)),))
    model = CausalLM(design, VOCABULARY).eval()
    tokens = torch.randint(VOCABULARY, (1, 20))
    before = model(tokens)
    tokens[0, 5] = (tokens[0, 5] + 1) % VOCABULARY
    moved = (model(tokens) - before).abs().amax(-1)[0] > 1e-6
    assert moved.nonzero().flatten().tolist() == list(range(5, 5 + 2 * 3 + 1))


@torch.no_grad()
def test_the_logits_of_the_last_position_can_be_had_alone() -> None:
    model = CausalLM(MIXED, VOCABULARY).eval()
    tokens = torch.randint(VOCABULARY, (2, 9))
    last = model(tokens, last_only=True)
    assert last.shape == (2, 1, VOCABULARY)
    torch.testing.assert_close(last, model(tokens)[:, -1:])


def test_generating_is_the_argmax_of_the_full_forward() -> None:
    torch.manual_seed(0)
    model = CausalLM(MIXED, VOCABULARY).eval()
    tokens = torch.randint(VOCABULARY, (2, 7))
    grown = tokens
    with torch.no_grad():
        for _ in range(20):
            grown = torch.cat((grown, model(grown)[:, -1:].argmax(-1)), dim=1)
    assert torch.equal(model.generate(tokens, 20), grown)


def test_sampling_stays_in_the_vocabulary_and_follows_the_seed() -> None:
    model = CausalLM(MIXED, VOCABULARY).eval()
    tokens = torch.zeros(2, 3, dtype=torch.long)
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(model.generate(tokens, 12, temperature=1.0))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert int(drawn[2].min()) >= 0
    assert int(drawn[2].max()) < VOCABULARY


def test_more_tokens_than_the_context_are_refused() -> None:
    model = CausalLM(MIXED, VOCABULARY)
    sentence = "this design's maximum context is 32 tokens, but got 33"
    with pytest.raises(ValueError, match=sentence):
        model(torch.zeros(1, 33, dtype=torch.long))
    caches = model.new_caches(1, 40)
    model(torch.zeros(1, 32, dtype=torch.long), caches)
    with pytest.raises(ValueError, match=sentence):
        model(torch.zeros(1, 1, dtype=torch.long), caches)
    with pytest.raises(ValueError, match=sentence):
        model.generate(torch.zeros(1, 30, dtype=torch.long), 4)


def test_parameters_have_the_names_and_shapes_of_llama() -> None:
    model = CausalLM(a_design(LayerDesign(Heads(4, 2, 6))), VOCABULARY)
    assert {name: tuple(weight.shape) for name, weight in model.named_parameters()} == {
        "model.embed_tokens.weight": (VOCABULARY, 16),
        "model.layers.0.input_layernorm.weight": (16,),
        "model.layers.0.self_attn.q_proj.weight": (24, 16),
        "model.layers.0.self_attn.k_proj.weight": (12, 16),
        "model.layers.0.self_attn.v_proj.weight": (12, 16),
        "model.layers.0.self_attn.o_proj.weight": (16, 24),
        "model.layers.0.post_attention_layernorm.weight": (16,),
        "model.layers.0.mlp.gate_proj.weight": (64, 16),
        "model.layers.0.mlp.up_proj.weight": (64, 16),
        "model.layers.0.mlp.down_proj.weight": (16, 64),
        "model.norm.weight": (16,),
        "lm_head.weight": (VOCABULARY, 16),
    }
    assert list(dict(model.named_buffers())) == []


def test_a_window_as_long_as_the_context_computes_what_dense_does() -> None:
    """The two have one key, so they must be one function."""
    logits = []
    for pattern in (Dense(), SlidingWindow(32)):
        torch.manual_seed(0)
        design = a_design(LayerDesign(Heads(2, 1, 4), pattern))
        with torch.no_grad():
            logits.append(CausalLM(design, VOCABULARY)(torch.arange(32)[None] % VOCABULARY))
    assert torch.equal(*logits)


def test_the_rotary_base_makes_a_difference() -> None:
    logits = []
    for base in (100.0, 10000.0):
        torch.manual_seed(0)
        design = a_design(LayerDesign(Heads(2, 1, 8), Dense(), Rotary(base)))
        with torch.no_grad():
            logits.append(CausalLM(design, VOCABULARY)(torch.arange(32)[None] % VOCABULARY))
    assert not torch.allclose(*logits, atol=1e-3)

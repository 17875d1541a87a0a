"""Attention maps: the weights are those that the model's own kernels used, and add up to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from random_designs import random_design
from torch import Tensor

from evaluator.attention_maps import AttentionMap, attention_maps, recorded
from evaluator.head_summaries import head_summaries
from evaluator.model import model_of
from search_space import (
    PRESETS,
    Dense,
    Design,
    GatedLinear,
    Heads,
    Hierarchical,
    LayerDesign,
    Linear,
    LowRank,
    NoPosition,
    SlidingWindow,
    Split,
    preset,
)
from search_space.design import ModelKind

VOCABULARY = 11
PARTS, OF_EACH_PART = 6, 25
SIZES: dict[str, Any] = {"width": 32, "depth": 4, "context": 80, "heads": 4, "dim": 8}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def maps_of(design: Design, length: int, source: int | None = None) -> list[AttentionMap]:
    """Of a model with norms, biases and learned directions that say something."""
    torch.manual_seed(length)
    model = model_of(design, VOCABULARY)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(0.3 * torch.randn_like(weight))
    sizes = [length, *([source or length] if design.kind == "encoder-decoder" else [])]
    return attention_maps(design, model, *(torch.randint(VOCABULARY, (1, n)) for n in sizes))


def far_apart(got: Tensor, expected: Tensor) -> float:
    """The greatest difference, relative to the greatest value where that is above 1."""
    assert got.shape == expected.shape
    return float((got - expected).abs().max() / expected.abs().max().clamp_min(1.0))


def check(found: list[AttentionMap], design: Design) -> None:
    """Every head of every layer once, weights that give the mixer's output, rows of 1."""
    heads = [(m.index, m.first_head + head) for m in found for head in range(len(m.weights))]
    expected = [(i, h) for i, layer in enumerate(design.layers) for h in range(layer.heads.query)]
    assert heads == expected
    for one in found:
        assert far_apart(one.weights @ one.values, one.mixed.double()) <= 1e-5, one.layer
        if not one.signed:
            assert float(one.weights.min()) >= 0
            sums = one.weights.sum(-1)
            torch.testing.assert_close(sums, torch.ones_like(sums), atol=1e-12, rtol=0)
        for summary in head_summaries(one):
            shares = [summary.first_share, summary.own_share, summary.previous_share]
            assert all(share is None or -1e-9 <= share <= 1 + 1e-9 for share in shares)
            assert -1e-9 <= summary.entropy_bits <= np.log2(one.weights.shape[2]) + 1e-9


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name, known in PRESETS.items() for kind in known.kinds],
)
def test_weights_give_what_a_preset_mixes(name: str, kind: ModelKind) -> None:
    design = preset(name, kind=kind, **SIZES)
    check(maps_of(design, 80, 37), design)


@pytest.mark.parametrize("part", range(PARTS))
def test_weights_give_what_random_designs_mix(part: int) -> None:
    rng = np.random.default_rng((3, part))
    for _ in range(OF_EACH_PART):
        design = random_design(rng)
        length, source = (int(n) for n in rng.integers(1, design.context + 1, 2))
        check(maps_of(design, length, source), design)


def test_a_model_is_left_as_it_was() -> None:
    design = preset("mha", **SIZES)
    model = model_of(design, VOCABULARY)
    tokens = torch.randint(VOCABULARY, (1, 9))
    with recorded(model) as calls:
        model(tokens)
    assert len(calls) == design.depth
    with pytest.raises(ValueError, match="maximum context"), recorded(model):
        model(tokens.repeat(1, 10))
    model(tokens)
    assert len(calls) == design.depth


def one_layer(pattern: Any, **parts: Any) -> Design:
    layer = LayerDesign(Heads(2, 2, 4), pattern, **parts)
    return Design(16, 64, (layer,))


def test_what_is_not_visible_has_no_weight() -> None:
    for design in (one_layer(SlidingWindow(3)), one_layer(Linear())):
        (found,) = maps_of(design, 40)
        at, of = np.arange(40)[:, None], np.arange(40)[None, :]
        hidden = ~torch.from_numpy(found.pattern.visible(at, of))
        assert not found.weights[:, hidden].any()
        assert (found.weights[:, ~hidden] > 0).all()


def test_summaries_and_slots_have_columns_of_their_own() -> None:
    (found,) = maps_of(one_layer(Hierarchical(8, 4)), 40)
    assert (found.tokens, found.weights.shape) == (40, (2, 40, 48))
    assert found.weights[:, -1, 40:].gt(0).all()
    (found,) = maps_of(one_layer(LowRank(5), kind="bidirectional"), 40)
    assert (found.tokens, found.weights.shape) == (40, (2, 40, 5))
    assert [s.distance_tokens for s in head_summaries(found)] == [None, None]


def test_gated_linear_weights_have_signs() -> None:
    (found,) = maps_of(one_layer(GatedLinear()), 40)
    assert found.signed
    assert found.weights.min() < 0 < found.weights.max()


def handmade(weights: Tensor, pattern: Any = None, tokens: int | None = None) -> AttentionMap:
    """A map with these weights (H, T, N)."""
    layer = LayerDesign(Heads(1, 1, 4), pattern or Dense(), NoPosition())
    nothing = torch.zeros(1, 1, 1)
    size = weights.shape[2] if tokens is None else tokens
    return AttentionMap(0, layer, layer.pattern, 0, size, weights, nothing, nothing)


def test_heads_get_the_word_that_fits() -> None:
    length = 64
    eye = torch.eye(length).double()
    causal = torch.ones_like(eye).tril()
    previous = eye.roll(-1, 1)
    previous[0] = eye[0]
    sink = torch.zeros_like(eye)
    sink[:, 0] = 1
    near = causal.triu(-4)
    middle = causal * (torch.arange(length) % 8 == 7) + eye
    heads = torch.stack([previous, eye, sink, near / near.sum(1, True), causal, middle])
    heads = heads / heads.sum(-1, keepdim=True)
    found = head_summaries(handmade(heads))
    assert [summary.word for summary in found] == [
        "previous token", "itself", "first tokens", "local", "broad", ""
    ]  # fmt: skip
    assert [s.previous_share for s in found[:3]] == [1.0, 0.0, pytest.approx(1 / 63)]
    assert found[0].entropy_bits == 0
    assert found[2].distance_tokens == pytest.approx((length - 1) / 2)
    assert {s.word for s in head_summaries(handmade(heads[:, :15, :15]))} == {""}


def test_a_summary_counts_for_its_tokens() -> None:
    weights = torch.zeros(1, 8, 9).double()
    weights[..., 8] = 1.0  # the mean of tokens 0 to 3
    (summary,) = head_summaries(handmade(weights, Hierarchical(1, 4), 8))
    assert summary.first_share == pytest.approx(1.0)
    distances = [abs(i - j) for i in range(8) for j in range(4)]
    assert summary.distance_tokens == pytest.approx(np.mean(distances))


def test_splits_number_their_heads_through() -> None:
    layer = LayerDesign(Heads(6, 3, 4), SlidingWindow(4), split=Split(Dense(), 1))
    found = maps_of(Design(16, 64, (layer,)), 20)
    assert [(m.first_head, len(m.weights)) for m in found] == [(0, 4), (4, 2)]

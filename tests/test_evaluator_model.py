"""Models equal a float64 reference, decode what they compute whole, and are as large as counted.

The designs are random ones of the whole language: 300 here, 2,000 in `make nightly`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from random_designs import random_design
from reference_model import reference_logits
from torch import Tensor

from evaluator.model import CausalLM, MaskedLM, Seq2SeqLM
from search_space import (
    KINDS,
    PATTERNS,
    POSITIONS,
    SCORES,
    SHARINGS,
    Cosine,
    Dense,
    Design,
    DilatedWindow,
    Heads,
    Hierarchical,
    LatentKV,
    LayerDesign,
    NoPosition,
    OneTensor,
    ReusedKV,
    Rotary,
    SlidingWindow,
    Strided,
    counts,
)

VOCABULARY, BATCH = 11, 2
PARTS, OF_EACH_PART = 12, 25
NIGHTLY_PARTS, OF_EACH_NIGHTLY_PART = 5, 400
NIGHTLY = bool(os.environ.get("ATTNAS_NIGHTLY"))
MODELS: dict[str, Any] = {"decoder": CausalLM, "encoder": MaskedLM, "encoder-decoder": Seq2SeqLM}

Model = CausalLM | MaskedLM | Seq2SeqLM


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def designs_of(part: int, count: int) -> list[Design]:
    """Part 0, 1, ... of the random designs."""
    rng = np.random.default_rng((count, part))
    return [random_design(rng) for _ in range(count)]


def a_model(design: Design, seed: int = 0) -> Any:
    """With norms, biases and learned directions that say something."""
    torch.manual_seed(seed)
    model = MODELS[design.kind](design, VOCABULARY)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(0.3 * torch.randn_like(weight))
    return model


def random_pieces(total: int, rng: np.random.Generator) -> list[int]:
    """A prompt, then single tokens and longer pieces in any order."""
    pieces = [int(rng.integers(1, total + 1))]
    while (left := total - sum(pieces)) > 0:
        wanted = 1 if rng.random() < 0.5 else int(rng.integers(2, 9))
        pieces.append(min(left, wanted))
    return pieces


def decoded(model: CausalLM, tokens: Tensor, pieces: list[int], capacity: int) -> Tensor:
    """Logits of all positions, the tokens given piece by piece."""
    caches = model.new_caches(tokens.shape[0], capacity)
    return torch.cat([model(piece, caches) for piece in tokens.split(pieces, dim=1)], dim=1)


def decoded_behind(
    model: Seq2SeqLM, source: Tensor, target: Tensor, pieces: list[int], capacity: int
) -> Tensor:
    """The same behind a source, which is given once."""
    caches = model.new_caches(target.shape[0], capacity, source.shape[1])
    given = [source, *[None] * (len(pieces) - 1)]
    parts = zip(given, target.split(pieces, dim=1), strict=True)
    return torch.cat([model(some, part, caches) for some, part in parts], dim=1)


def inputs_of(design: Design, rng: np.random.Generator) -> list[Tensor]:
    """Tokens of any length, the longest as often as not; behind a source in an encoder-decoder."""
    found = []
    for _ in range(2 if design.kind == "encoder-decoder" else 1):
        length = int(rng.integers(1, design.context + 1))
        length = design.context if rng.random() < 0.5 else length
        found.append(torch.from_numpy(rng.integers(VOCABULARY, size=(BATCH, length))))
    return found


def far_apart(got: Tensor, expected: Tensor) -> float:
    """The greatest difference, relative to the greatest value where that is above 1."""
    assert got.shape == expected.shape
    worst = (got.double() - expected).abs().max() / expected.abs().max().clamp_min(1.0)
    return float(worst)


def check_parameters(design: Design, model: Model) -> None:
    built = sum(weight.numel() for weight in model.parameters())
    assert built == counts.parameters(design, VOCABULARY)


def check_bytes(design: Design, model: Model, capacity: int) -> None:
    """Allocated memory, tensor by tensor; a layer that lends may keep more in short sequences."""
    if isinstance(model, MaskedLM):
        assert counts.kv_cache_bytes(design, capacity) == 0
        return
    sizes = (3, capacity) if isinstance(model, CausalLM) else (3, capacity, capacity)
    caches = model.new_caches(*sizes)
    allocated = sum(tensor.untyped_storage().nbytes() for tensor in caches.tensors())
    assert allocated == caches.allocated_bytes
    counted = counts.kv_cache_bytes(design, capacity, "float32", batch=3)
    assert allocated == counted


@torch.no_grad()
def check_decoding(design: Design, model: Model, inputs: list[Tensor], rng: Any) -> None:
    length = inputs[-1].shape[1]
    pieces = random_pieces(length, rng)
    capacity = int(rng.integers(length, design.context + 1))
    model.eval()
    whole = model(*inputs)
    if isinstance(model, Seq2SeqLM):
        again = decoded_behind(model, inputs[0], inputs[1], pieces, capacity)
    elif isinstance(model, CausalLM):
        again = decoded(model, inputs[0], pieces, capacity)
    else:
        return
    assert float((whole - again).abs().max()) <= 1e-4, f"pieces {pieces}"


def check_reference(design: Design, model: Model, inputs: list[Tensor]) -> None:
    """Logits and, for random gradients of theirs, the gradients of all weights."""
    model.train()
    known = dict(model.named_parameters())
    exact = {name: weight.detach().double().requires_grad_() for name, weight in known.items()}
    *source, tokens = inputs
    logits, expected = model(*inputs), reference_logits(design, exact, tokens, *source)
    assert far_apart(logits.detach(), expected.detach()) <= 2e-4
    push = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad(logits, list(known.values()), push)
    truth = torch.autograd.grad(expected, list(exact.values()), push.double())
    for name, grad, true in zip(known, found, truth, strict=True):
        assert far_apart(grad, true) <= 1e-3, f"gradient of {name}"


def check(design: Design, rng: np.random.Generator) -> None:
    """All of it for one design."""
    model = a_model(design, int(rng.integers(1000)))
    inputs = inputs_of(design, rng)
    try:
        check_parameters(design, model)
        check_bytes(design, model, design.context)
        check_bytes(design, model, int(rng.integers(1, design.context + 1)))
        check_reference(design, model, inputs)
        check_decoding(design, model, inputs, rng)
    except (AssertionError, RuntimeError, ValueError) as problem:
        sizes = [tuple(tokens.shape) for tokens in inputs]
        raise AssertionError(f"{problem}\n{sizes} of {design.to_json()}") from problem


@pytest.mark.parametrize("part", range(PARTS))
def test_random_designs_are_what_the_language_says(part: int) -> None:
    rng = np.random.default_rng(part)
    for design in designs_of(part, OF_EACH_PART):
        check(design, rng)


@pytest.mark.skipif(not NIGHTLY, reason="of `make nightly`")
@pytest.mark.parametrize("part", range(NIGHTLY_PARTS))
def test_two_thousand_more_designs_are_as_well(part: int) -> None:
    rng = np.random.default_rng(part)
    for design in designs_of(part, OF_EACH_NIGHTLY_PART):
        check(design, rng)


def test_the_random_designs_cover_the_language() -> None:
    """Guards the test above: every word of the language, in every kind of layer that has it."""
    designs = [design for part in range(PARTS) for design in designs_of(part, OF_EACH_PART)]
    layers = [layer for design in designs for layer in design.layers]
    seen = {(part.pattern.name, layer.kind) for layer in layers for part in layer.parts}
    assert seen == {(name, kind) for name, known in PATTERNS.items() for kind in known.kinds}
    for kind in KINDS:
        of_kind = [layer for layer in layers if layer.kind == kind]
        assert {layer.sharing.name for layer in of_kind} == set(SHARINGS)
        assert {layer.score.name for layer in of_kind} == set(SCORES)
        assert {layer.gate.name for layer in of_kind} == {"none", "head"}
        assert {layer.tied for layer in of_kind} == {False, True}
        positions = {"none"} if kind == "cross" else set(POSITIONS)
        assert {layer.position.name for layer in of_kind} == positions
        if kind != "cross":
            assert {layer.split is None for layer in of_kind} == {False, True}
        assert {layer.heads.group for layer in of_kind} >= {1, 2, 3}
    turned = {type(layer.sharing) for layer in layers if isinstance(layer.position, Rotary)}
    assert turned == set(SHARINGS.values())
    assert {design.kind for design in designs} == set(MODELS)
    assert len({design.key for design in designs}) >= 0.95 * len(designs)


def a_design(*layers: LayerDesign, width: int = 16, context: int = 32) -> Design:
    return Design(width, context, layers)


MIXED = a_design(
    LayerDesign(Heads(4, 2, 4), SlidingWindow(5)),
    LayerDesign(Heads(3, 1, 6), Dense()),
    LayerDesign(Heads(2, 2, 8), SlidingWindow(1)),
)
CROSS = LayerDesign(Heads(4, 2, 4), position=NoPosition(), kind="cross")
TRANSLATOR = a_design(
    LayerDesign(Heads(2, 2, 4), SlidingWindow(3), kind="bidirectional"),
    LayerDesign(Heads(2, 1, 4), SlidingWindow(5)),
    CROSS,
    LayerDesign(Heads(2, 1, 4), sharing=OneTensor()),
    replace(CROSS, sharing=ReusedKV()),
    LayerDesign(Heads(2, 1, 4)),
    replace(CROSS, sharing=LatentKV(6)),
    LayerDesign(Heads(2, 1, 4)),
    replace(CROSS, sharing=OneTensor(), score=Cosine()),
)


@pytest.mark.parametrize("length", [1, 2, 31, 32])
@pytest.mark.parametrize("pattern", [Dense(), SlidingWindow(4), DilatedWindow(3, 5)], ids=str)
def test_an_encoder_takes_sequences_of_any_length(pattern: Any, length: int) -> None:
    for sharing in (OneTensor(), LatentKV(6, 2)):
        layer = LayerDesign(Heads(2, 2, 4), pattern, sharing=sharing, kind="bidirectional")
        design = a_design(layer, replace(layer, tied=True))
        tokens = torch.randint(VOCABULARY, (2, length))
        check_reference(design, a_model(design), [tokens])


@torch.no_grad()
@pytest.mark.parametrize(("source", "target"), [(32, 32), (1, 20), (7, 32), (32, 1)])
def test_generating_behind_a_source_is_the_argmax_of_the_full_forward(
    source: int, target: int
) -> None:
    model = a_model(TRANSLATOR).eval()
    given = torch.randint(VOCABULARY, (2, source))
    grown = start = torch.zeros(2, 1, dtype=torch.long)
    for _ in range(target - 1):
        grown = torch.cat((grown, model(given, grown)[:, -1:].argmax(-1)), dim=1)
    assert torch.equal(model.generate(given, start, target - 1), grown)


@torch.no_grad()
def test_a_source_is_looked_at_once() -> None:
    """The cached keys are what later steps see, whatever source they are given."""
    model = a_model(TRANSLATOR).eval()
    source, other = torch.randint(VOCABULARY, (2, 2, 9)).unbind()
    target = torch.randint(VOCABULARY, (2, 5))
    caches = model.new_caches(2, 5, 9)
    logits = [model(source, target[:, :2], caches), model(other, target[:, 2:], caches)]
    expected = model(source, target)
    torch.testing.assert_close(torch.cat(logits, 1), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("capacity", [1, 5, 32])
def test_cross_caches_take_what_the_counts_say(capacity: int) -> None:
    check_bytes(TRANSLATOR, a_model(TRANSLATOR), capacity)


@torch.no_grad()
@pytest.mark.parametrize("part", range(2))
def test_training_and_evaluating_compute_the_same(part: int) -> None:
    rng = np.random.default_rng(part)
    for design in designs_of(part, OF_EACH_PART):
        model, inputs = a_model(design), inputs_of(design, rng)
        assert torch.equal(model.train()(*inputs), model.eval()(*inputs))


@torch.no_grad()
@pytest.mark.parametrize(
    "pieces",
    [[32], [1] * 32, [5, *[1] * 27], [4, 1, 27], [6, 26], [31, 1], [1, 31], [16, 5, 6, 5]],
    ids=str,
)
def test_pieces_around_the_window_make_no_difference(pieces: list[int]) -> None:
    model = a_model(MIXED).eval()
    tokens = torch.randint(VOCABULARY, (2, 32))
    torch.testing.assert_close(decoded(model, tokens, pieces, 32), model(tokens), atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(
    ("lender", "borrower", "context", "capacity"),
    [
        (Strided(17), Dense(), 40, 32),
        (DilatedWindow(4, 3), SlidingWindow(10), 40, 9),
        (DilatedWindow(9, 10), Dense(), 31, 25),
    ],
    ids=str,
)
def test_a_short_cache_holds_what_others_reuse(
    lender: Any, borrower: Any, context: int, capacity: int
) -> None:
    """Where a pattern keeps less of a short sequence, what it lends is kept all the same."""
    first = LayerDesign(Heads(2, 2, 4), lender)
    design = a_design(first, replace(first, pattern=borrower, sharing=ReusedKV()), context=context)
    model = a_model(design).eval()
    tokens = torch.randint(VOCABULARY, (2, capacity))
    again = decoded(model, tokens, [1] * capacity, capacity)
    torch.testing.assert_close(again, model(tokens), atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(
    "layer",
    [
        LayerDesign(Heads(2, 2, 4), Hierarchical(3, 4)),
        LayerDesign(Heads(2, 2, 4), SlidingWindow(3), sharing=LatentKV(4, 2)),
        LayerDesign(Heads(2, 2, 4), PATTERNS["linear"]()),
        LayerDesign(Heads(2, 2, 4), PATTERNS["gated-linear"]()),
    ],
    ids=lambda layer: layer.describe(),
)
def test_a_token_can_be_taken_back_and_given_again(layer: LayerDesign) -> None:
    model = a_model(a_design(layer, replace(layer, tied=True))).eval()
    tokens = torch.randint(VOCABULARY, (2, 32))
    caches = model.new_caches(2, 32)
    expected = model(tokens)
    model(tokens[:, :5], caches)
    for at in range(5, 32):
        for _ in range(3):
            caches.rewind(at)
            logits = model(tokens[:, at : at + 1], caches)[:, 0]
            torch.testing.assert_close(logits, expected[:, at], atol=1e-4, rtol=0)
    caches.rewind(0)
    again = torch.cat([model(piece, caches) for piece in tokens.split(9, dim=1)], dim=1)
    torch.testing.assert_close(again, expected, atol=1e-4, rtol=0)


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
    model = a_model(MIXED).eval()
    tokens = torch.randint(VOCABULARY, (2, 9))
    last = model(tokens, last_only=True)
    assert last.shape == (2, 1, VOCABULARY)
    torch.testing.assert_close(last, model(tokens)[:, -1:])


def test_generating_is_the_argmax_of_the_full_forward() -> None:
    model = a_model(MIXED).eval()
    tokens = torch.randint(VOCABULARY, (2, 7))
    grown = tokens
    with torch.no_grad():
        for _ in range(20):
            grown = torch.cat((grown, model(grown)[:, -1:].argmax(-1)), dim=1)
    assert torch.equal(model.generate(tokens, 20), grown)


def test_sampling_stays_in_the_vocabulary_and_follows_the_seed() -> None:
    model = a_model(MIXED).eval()
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
    model = a_model(MIXED)
    sentence = "this design's maximum context is 32 tokens, but got 33"
    with pytest.raises(ValueError, match=sentence):
        model(torch.zeros(1, 33, dtype=torch.long))
    caches = model.new_caches(1, 40)
    model(torch.zeros(1, 32, dtype=torch.long), caches)
    with pytest.raises(ValueError, match=sentence):
        model(torch.zeros(1, 1, dtype=torch.long), caches)
    with pytest.raises(ValueError, match=sentence):
        model.generate(torch.zeros(1, 30, dtype=torch.long), 4)
    with pytest.raises(ValueError, match=sentence):
        a_model(TRANSLATOR)(torch.zeros(1, 33, dtype=torch.long), torch.zeros(1, 1).long())


def test_more_tokens_than_the_caches_are_made_for_are_refused() -> None:
    """A ring as well: how much of a sequence is kept depends on how long it may become."""
    for pattern in (Dense(), SlidingWindow(3), Strided(4)):
        model = a_model(a_design(LayerDesign(Heads(2, 1, 4), pattern)))
        caches = model.new_caches(1, 8)
        model(torch.zeros(1, 8, dtype=torch.long), caches)
        with pytest.raises(ValueError, match="made for 8 tokens, but 9 were given"):
            model(torch.zeros(1, 1, dtype=torch.long), caches)


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

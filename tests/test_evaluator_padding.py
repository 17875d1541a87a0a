"""Padding: a sequence gets what it gets alone, wherever the others' padding stands."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from evaluator.model import CausalLM, MaskedLM
from evaluator.padding import forward_padded, generate_padded
from search_space import (
    BigBird,
    BlockLocal,
    Dense,
    Design,
    DilatedWindow,
    GatedLinear,
    GlobalWindow,
    Heads,
    Hierarchical,
    Kind,
    LayerDesign,
    Linear,
    LowRank,
    Pattern,
    SinkWindow,
    SlidingWindow,
    Strided,
)
from search_space.patterns import PATTERNS

EVERY_PATTERN: list[Pattern] = [
    Dense(),
    SlidingWindow(3),
    DilatedWindow(2, 3),
    BlockLocal(4),
    Strided(3),
    SinkWindow(3, 2),
    GlobalWindow(3, 2),
    BigBird(3, 1, 1, 1),
    Hierarchical(3, 2),
    Linear(),
    GatedLinear(),
    LowRank(3),
]
CASES = [(pattern, kind) for pattern in EVERY_PATTERN for kind in pattern.kinds if kind != "cross"]
LENGTHS = torch.tensor([7, 20, 1, 20, 13])

every_case = pytest.mark.parametrize(("pattern", "kind"), CASES, ids=str)
both_sides = pytest.mark.parametrize("left", [False, True], ids=["right", "left"])


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def a_model(pattern: Pattern, kind: Kind) -> Any:
    torch.manual_seed(0)
    layers = 2 * (LayerDesign(Heads(2, 1, 4), pattern, kind=kind),)
    return (CausalLM if kind == "causal" else MaskedLM)(Design(16, 24, layers), 11)


def a_batch(left: bool) -> tuple[Tensor, list[Tensor]]:
    """Sequences between tokens that count for nothing, and each of them alone."""
    tokens = torch.randint(11, (5, 22), generator=torch.Generator().manual_seed(1))
    found = [row[22 - n :] if left else row[:n] for row, n in zip(tokens, LENGTHS, strict=True)]
    return tokens, found


def test_every_pattern_is_put_to_the_test() -> None:
    assert {pattern.name for pattern in EVERY_PATTERN} == set(PATTERNS)


@both_sides
@every_case
def test_each_sequence_gets_what_it_gets_alone(pattern: Pattern, kind: Kind, left: bool) -> None:
    model = a_model(pattern, kind)
    tokens, alone = a_batch(left)
    logits = forward_padded(model, tokens, LENGTHS, left=left)
    expected = torch.zeros(5, 22, 11)
    for row, sequence in enumerate(alone):
        place = slice(22 - len(sequence), 22) if left else slice(len(sequence))
        expected[row, place] = model(sequence[None])[0]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    assert torch.equal(logits == 0, expected == 0)  # at the padding


@both_sides
def test_gradients_are_those_of_the_sequences_alone(left: bool) -> None:
    model = a_model(SlidingWindow(3), "bidirectional")
    tokens, alone = a_batch(left)
    weights = list(model.parameters())
    logits = forward_padded(model, tokens, LENGTHS, left=left)
    found = torch.autograd.grad(logits.square().sum(), weights)
    losses = [model(sequence[None]).square().sum() for sequence in alone]
    expected = torch.autograd.grad(torch.stack(losses).sum(), weights)
    for grad, true in zip(found, expected, strict=True):
        torch.testing.assert_close(grad, true, atol=1e-3, rtol=1e-4)


@both_sides
@pytest.mark.parametrize("pattern", [p for p in EVERY_PATTERN if "causal" in p.kinds], ids=str)
def test_generating_goes_on_from_each_prompt_s_own_end(pattern: Pattern, left: bool) -> None:
    model = a_model(pattern, "causal").eval()
    tokens, alone = a_batch(left)
    made = generate_padded(model, tokens, LENGTHS, 4, left=left)
    expected = [model.generate(prompt[None], 4)[0, len(prompt) :] for prompt in alone]
    assert torch.equal(made, torch.stack(expected))


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ([7, 0, 1, 2, 3], "lengths must be 1 to 22, .* but sequence 1 has 0"),
        ([7, 5, 1, 2, 23], "lengths must be 1 to 22, .* but sequence 4 has 23"),
        ([7, 5], r"one length for each sequence, so shape \(5,\), but got \(2,\)"),
    ],
)
def test_lengths_that_cannot_be_are_refused(lengths: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        forward_padded(a_model(Dense(), "causal"), a_batch(False)[0], torch.tensor(lengths))


def test_the_longest_sequence_of_the_context_fits() -> None:
    """Wide batches may be wider than the context, as long as no sequence is."""
    model = a_model(Dense(), "causal")
    tokens = torch.zeros(2, 30, dtype=torch.long)
    assert forward_padded(model, tokens, torch.tensor([24, 3])).shape == (2, 30, 11)
    with pytest.raises(ValueError, match="maximum context is 24 tokens, but got 25"):
        forward_padded(model, tokens, torch.tensor([25, 3]))

"""Peak training bytes: sparse layers need about what a dense one needs, and no pattern n squared.

Bytes are counted (evaluator/peak_bytes.py), so the bounds are exact and the same everywhere.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

from evaluator.kernels.chunked_scores import CHUNK_BYTES
from evaluator.peak_bytes import peak_bytes
from evaluator.rotary import rotary_turn
from evaluator.stack import attention_of
from search_space import (
    Additive,
    Alibi,
    BigBird,
    BlockLocal,
    Dense,
    DilatedWindow,
    GatedLinear,
    GlobalWindow,
    Heads,
    Hierarchical,
    Kind,
    LayerDesign,
    Linear,
    LowRank,
    NoPosition,
    Pattern,
    SinkWindow,
    SlidingWindow,
    Strided,
)

HEADS, DIM = 8, 64
WIDTH = HEADS * DIM
CAUSAL = [
    SlidingWindow(64),
    SlidingWindow(256),
    DilatedWindow(64, 4),
    BlockLocal(64),
    BlockLocal(256),
    Strided(64),
    SinkWindow(256, 4),
    GlobalWindow(256, 16),
    BigBird(64, 3, 1, 2),
    Hierarchical(256, 16),
    Linear(),
    GatedLinear(),
]
BOTH_WAYS = [
    SlidingWindow(256),
    DilatedWindow(64, 4),
    BlockLocal(256),
    Strided(64),
    GlobalWindow(256, 16),
    BigBird(64, 3, 1, 2),
    Linear(),
    LowRank(128),
]
ALL: list[tuple[Pattern, Kind]] = [
    *((pattern, "causal") for pattern in CAUSAL),
    *((pattern, "bidirectional") for pattern in BOTH_WAYS),
]


def layer_bytes(pattern: Pattern, length: int, kind: Kind = "causal", **more: Any) -> int:
    """Peak of a layer's forward and backward pass: projections, rotary and mixer."""
    attention = attention_of(
        WIDTH, length, LayerDesign(Heads.multi(HEADS, dim=DIM), pattern, kind=kind, **more)
    )
    x = torch.randn(1, length, WIDTH, requires_grad=True)
    key = attention.turned_by
    turns = {key: rotary_turn(key[0], key[1], 0, length, x)} if key else {}
    leaves, grad = [x, *attention.parameters()], torch.randn(1, length, WIDTH)

    def work() -> object:
        return torch.autograd.grad(attention(x, turns)[0], leaves, grad)

    return peak_bytes(work, [*leaves, grad])


@cache
def dense_bytes(length: int, kind: Kind) -> int:
    return layer_bytes(Dense(), length, kind)


@pytest.mark.parametrize("length", [2048, 4096])
@pytest.mark.parametrize(("pattern", "kind"), ALL, ids=str)
def test_a_layer_trains_in_about_the_bytes_of_dense_flash(
    pattern: Pattern, kind: Kind, length: int
) -> None:
    """Within 25%, whatever the pattern."""
    assert layer_bytes(pattern, length, kind) <= 1.25 * dense_bytes(length, kind)


@pytest.mark.parametrize("more", [{}, {"score": Additive()}], ids=["alibi", "additive"])
def test_scores_in_chunks_hold_few_chunks_and_grow_with_the_length_not_its_square(
    more: dict[str, Any],
) -> None:
    """A chunk of additive scores has a channel for each of D: short sequences fill it."""
    position = NoPosition() if more else Alibi()
    lengths = (256, 512) if more else (1024, 2048)
    shorter, longer = (layer_bytes(Dense(), n, position=position, **more) for n in lengths)
    assert longer <= 2.2 * shorter
    assert longer <= 1.8 * dense_bytes(lengths[1], "causal") + (3.5 * CHUNK_BYTES if more else 0)

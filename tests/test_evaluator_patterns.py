"""Every pattern's full-sequence kernel equals the float64 reference, forward and backward."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from evaluator.kernels import merge
from evaluator.kernels.big_bird import attend_big_bird, big_bird_table, block_hashes
from evaluator.kernels.block_local import attend_block_local
from evaluator.kernels.chunked_scores import alibi_slopes, attend_with_bias
from evaluator.kernels.dense import attend_dense
from evaluator.kernels.dilated_window import attend_dilated_window
from evaluator.kernels.gated_linear import (
    attend_gated_linear,
    gated_linear_state,
    gated_linear_step,
)
from evaluator.kernels.global_window import attend_global_window
from evaluator.kernels.hierarchical import attend_hierarchical
from evaluator.kernels.linear import attend_linear, linear_state, linear_step
from evaluator.kernels.low_rank import attend_low_rank
from evaluator.kernels.merge import attend_parts
from evaluator.kernels.parts import Comb, Part
from evaluator.kernels.reference import reference_attention
from evaluator.kernels.sink_window import attend_sink_window
from evaluator.kernels.sliding_window import attend_sliding_window
from evaluator.kernels.strided import attend_strided
from evaluator.peak_bytes import peak_bytes
from search_space import Dense, Pattern, SlidingWindow
from search_space.patterns import (
    BigBird,
    BlockLocal,
    DilatedWindow,
    GatedLinear,
    GlobalWindow,
    Hierarchical,
    Linear,
    LowRank,
    SinkWindow,
    Strided,
)
from search_space.patterns.big_bird import block_hash

Attend = Callable[..., Tensor]
ATTEND: dict[type[Pattern], Attend] = {
    Dense: attend_dense,
    SlidingWindow: attend_sliding_window,
    DilatedWindow: attend_dilated_window,
    BlockLocal: attend_block_local,
    Strided: attend_strided,
    SinkWindow: attend_sink_window,
    GlobalWindow: attend_global_window,
    BigBird: attend_big_bird,
    Hierarchical: attend_hierarchical,
}
CASES: list[tuple[Pattern, tuple[int, ...]]] = [
    (Dense(), (1, 2, 77)),
    (SlidingWindow(1), (1, 2, 130)),
    (SlidingWindow(20), (1, 20, 21, 39, 40, 150)),
    (SlidingWindow(100), (99, 101, 198, 333)),
    (DilatedWindow(5, 3), (1, 2, 3, 16, 200, 301)),
    (DilatedWindow(70, 2), (141, 300)),
    (BlockLocal(16), (1, 15, 16, 17, 64, 99)),
    (BlockLocal(150), (149, 151, 300, 350)),
    (BlockLocal(1), (5,)),
    (Strided(1), (9,)),
    (Strided(2), (1, 2, 3, 4, 150)),
    (Strided(16), (15, 17, 32, 33, 200)),
    (Strided(90), (91, 179, 181, 300)),
    (SinkWindow(20, 4), (1, 3, 24, 25, 150)),
    (SinkWindow(3, 70), (73, 74, 500)),
    (SinkWindow(1, 1), (2, 3, 80)),
    (GlobalWindow(20, 4), (1, 3, 24, 25, 42, 43, 150)),
    (GlobalWindow(1, 2), (2, 3, 100)),
    (GlobalWindow(80, 30), (200, 400)),
    (BigBird(8, 1, 1, 1), (1, 8, 9, 24, 25, 130)),
    (BigBird(16, 3, 1, 2, seed=7), (15, 100, 257)),
    (BigBird(5, 2, 0, 3, seed=2**32 - 1), (4, 21, 111)),
    (Hierarchical(1, 2), (1, 2, 3, 4, 50)),
    (Hierarchical(20, 8), (1, 27, 28, 29, 200)),
    (Hierarchical(10, 70), (80, 81, 300)),
    (Hierarchical(33, 150), (500,)),
]
LAYERS = [
    pytest.param(pattern, length, causal, id=f"{pattern}-{length}-{'causal' if causal else 'both'}")
    for pattern, lengths in CASES
    for length in lengths
    for causal in (True, False)
    if causal or "bidirectional" in pattern.kinds
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Small products gain nothing from two, and lose much on a busy machine."""
    torch.set_num_threads(1)


def parameters(pattern: Pattern) -> tuple[int, ...]:
    """The pattern's numbers, in the order that its kernel takes them."""
    return tuple(getattr(pattern, field.name) for field in dataclasses.fields(cast(Any, pattern)))


def random_inputs(
    batch: int, heads: int, groups: int, length: int, key_width: int, value_width: int
) -> list[Tensor]:
    """Queries, keys and values, laid out as the model's projections give them."""
    generator = torch.Generator().manual_seed(length)
    shapes = [(heads, key_width), (groups, key_width), (groups, value_width)]
    return [
        torch.randn(batch, length, count, width, generator=generator).transpose(1, 2)
        for count, width in shapes
    ]


def check_both_ways(attend: Attend, reference: Attend, inputs: list[Tensor]) -> None:
    """Output, and every input's gradient under random output gradients; without gradients too."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    out, expected = attend(*leaves), reference(*exact)
    torch.testing.assert_close(out.double(), expected, atol=2e-5, rtol=1e-4)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad(out, leaves, weights)
    truth = torch.autograd.grad(expected, exact, weights.double())
    for grad, true_grad in zip(grads, truth, strict=True):
        torch.testing.assert_close(grad.double(), true_grad, atol=1e-4, rtol=1e-3)
    with torch.inference_mode():
        torch.testing.assert_close(attend(*inputs), out)


def check_pattern(
    pattern: Pattern, causal: bool, inputs: list[Tensor], scale: float | None = None
) -> None:
    kind = "causal" if causal else "bidirectional"
    attend = ATTEND[type(pattern)]
    check_both_ways(
        lambda q, k, v: attend(q, k, v, *parameters(pattern), scale=scale, causal=causal),
        lambda q, k, v: reference_attention(q, k, v, pattern, kind, scale=scale),
        inputs,
    )


@pytest.mark.parametrize(("pattern", "length", "causal"), LAYERS)
def test_a_pattern_equals_the_reference(pattern: Pattern, length: int, causal: bool) -> None:
    check_pattern(pattern, causal, random_inputs(2, 4, 2, length, 8, 8))


@pytest.mark.parametrize(("pattern", "length", "causal"), LAYERS)
def test_the_path_of_other_devices_equals_the_reference(
    pattern: Pattern, length: int, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if length > 200:
        pytest.skip("the longest are left to the fused path")
    monkeypatch.setattr(merge, "HAS_FUSED", False)
    check_pattern(pattern, causal, random_inputs(1, 4, 2, length, 8, 8))


@pytest.mark.parametrize("pattern", [cases[0] for cases in CASES[1::3]], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("widths", [(8, 16), (24, 8)])
def test_heads_may_share_keys_and_values_may_differ_in_width(
    pattern: Pattern, groups: int, widths: tuple[int, int]
) -> None:
    inputs = random_inputs(2, 4, groups, 101, *widths)
    for causal in (True, False):
        if causal or "bidirectional" in pattern.kinds:
            check_pattern(pattern, causal, inputs, scale=0.5)


def test_every_pattern_is_exact_in_float64() -> None:
    """The fused path itself under gradcheck: parts, merging and the sums of overlapping spans."""
    for pattern, _ in CASES:
        attend = ATTEND[type(pattern)]
        inputs = [x.double().requires_grad_() for x in random_inputs(1, 2, 1, 30, 2, 3)]
        numbers = parameters(pattern)
        for causal in (True, False):
            if causal or "bidirectional" in pattern.kinds:
                assert torch.autograd.gradcheck(
                    lambda q, k, v: attend(q, k, v, *numbers, causal=causal),  # noqa: B023
                    inputs,
                    fast_mode=True,
                )


@pytest.mark.parametrize("fused", [True, False])
def test_rows_that_a_part_leaves_blind_are_the_other_parts(
    fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even rows see the first half in the first part, odd rows the second half in the second."""
    monkeypatch.setattr(merge, "HAS_FUSED", fused)
    rows, half, other = Comb(0, 1, 0, 12), Comb(0, 1, 0, 6), Comb(6, 1, 0, 6)
    parts = [
        Part(rows, half, lambda row, key: (row % 2 == 1) & (key >= 0)),
        Part(rows, other, lambda row, key: (row % 2 == 0) & (key >= 0), merges=True),
    ]
    odd = torch.arange(12)[:, None] % 2 == 1
    visible = (torch.arange(12)[None, :] >= 6) == odd

    def reference(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        scores = (query @ keys.transpose(-1, -2)) / query.shape[-1] ** 0.5
        return scores.masked_fill(~visible, float("-inf")).softmax(-1) @ values

    inputs = random_inputs(1, 2, 2, 12, 8, 8)
    check_both_ways(lambda q, k, v: attend_parts(q, k, v, parts), reference, inputs)


def test_large_scores_stay_finite_where_parts_merge() -> None:
    query, keys, values = random_inputs(1, 2, 1, 150, 8, 8)
    for pattern in (Strided(16), SinkWindow(20, 4), Hierarchical(20, 8)):
        attend = ATTEND[type(pattern)]
        out = attend(100 * query, 100 * keys, values, *parameters(pattern))
        expected = reference_attention(100 * query, 100 * keys, values, pattern)
        torch.testing.assert_close(out.double(), expected, atol=5e-3, rtol=1e-3)


def test_random_blocks_are_those_of_the_language() -> None:
    row, column = torch.arange(9)[:, None], torch.arange(9)[None, :]
    for seed in (0, 1, 2**32 - 1):
        hashes = block_hashes(seed, row, column)
        for i, j in itertools.product(range(9), range(9)):
            assert int(hashes[i, j]) + 2**63 == block_hash(seed, i, j)
    pattern = BigBird(4, 2, 1, 3, seed=5)
    seen = torch.zeros(40, 40, dtype=torch.bool)
    for rows, columns in big_bird_table(40, 2, 1, 3, 5, True):
        seen[rows[:, None], columns] = True
    assert torch.equal(seen, torch.from_numpy(pattern.block_pairs(40)))


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 200])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("groups", [1, 4])
def test_linear_equals_the_reference(length: int, causal: bool, groups: int) -> None:
    kind = "causal" if causal else "bidirectional"
    check_both_ways(
        lambda q, k, v: attend_linear(q, k, v, causal=causal),
        lambda q, k, v: reference_attention(q, k, v, Linear(), kind),
        random_inputs(2, 4, groups, length, 8, 12),
    )


def random_decay(length: int, groups: int, strongest: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return -strongest * torch.rand(2, groups, length, generator=generator)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 200])
@pytest.mark.parametrize(("groups", "strongest"), [(1, 0.1), (2, 3.0), (4, 100.0)])
def test_gated_linear_equals_the_reference(length: int, groups: int, strongest: float) -> None:
    inputs = random_inputs(2, 4, groups, length, 8, 12)
    check_both_ways(
        attend_gated_linear,
        lambda q, k, v, decay: reference_attention(q, k, v, GatedLinear(), log_decay=decay),
        [*inputs, random_decay(length, groups, strongest)],
    )


def test_states_continue_a_sequence_token_by_token() -> None:
    query, keys, values = random_inputs(2, 4, 2, 90, 8, 12)
    decay = random_decay(90, 2, 0.5)
    linear, gated = (
        attend_linear(query, keys, values),
        attend_gated_linear(query, keys, values, decay),
    )
    state, normaliser = linear_state(keys[:, :, :70], values[:, :, :70])
    fading = gated_linear_state(keys[:, :, :70], values[:, :, :70], decay[:, :, :70])
    for at in range(70, 90):
        q, k, v = (x[:, :, at : at + 1] for x in (query, keys, values))
        out, state, normaliser = linear_step(q, k, v, state, normaliser)
        torch.testing.assert_close(out, linear[:, :, at : at + 1], atol=1e-5, rtol=1e-4)
        out, fading = gated_linear_step(q, k, v, decay[:, :, at : at + 1], fading)
        torch.testing.assert_close(out, gated[:, :, at : at + 1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 7, 40])
def test_low_rank_equals_the_reference(length: int) -> None:
    mixers = [torch.randn(40, 5, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    check_both_ways(
        attend_low_rank,
        lambda q, k, v, a, b: reference_attention(
            q, k, v, LowRank(5), "bidirectional", mixers=(a, b)
        ),
        [*random_inputs(2, 4, 2, length, 8, 12), *mixers],
    )


def window_span(window: int) -> Callable[[int, int], tuple[int, int]]:
    return lambda first, last: (max(0, first - window + 1), last + 1)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("length", [1, 20, 150])
@pytest.mark.parametrize("additive", [False, True])
def test_biased_and_additive_scores_equal_the_reference(
    groups: int, length: int, additive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluator.kernels.chunked_scores.CHUNK_BYTES", 1 << 18)
    slopes = alibi_slopes(4)
    inputs = random_inputs(2, 4, groups, length, 8, 12)
    if additive:
        inputs.append(torch.randn(4, 8, generator=torch.Generator().manual_seed(3)))
    window = SlidingWindow(20)

    def fast(q: Tensor, k: Tensor, v: Tensor, direction: Tensor | None = None) -> Tensor:
        return attend_with_bias(
            q,
            k,
            v,
            lambda i, j: (j <= i) & (j > i - 20),
            window_span(20),
            slopes=slopes,
            direction=direction,
            scale=0.7,
        )

    def exact(q: Tensor, k: Tensor, v: Tensor, direction: Tensor | None = None) -> Tensor:
        return reference_attention(q, k, v, window, scale=0.7, slopes=slopes, direction=direction)

    check_both_ways(fast, exact, inputs)


def test_biased_scores_of_all_keys_need_no_span() -> None:
    inputs = random_inputs(1, 2, 1, 40, 8, 8)
    check_both_ways(
        lambda q, k, v: attend_with_bias(q, k, v, None),
        lambda q, k, v: reference_attention(q, k, v, Dense(), "bidirectional"),
        inputs,
    )


def test_slopes_are_those_of_the_paper() -> None:
    assert alibi_slopes(8).tolist() == [2.0**-head for head in range(1, 9)]


@pytest.mark.parametrize(
    "attend",
    [
        lambda q, k, v: attend_strided(q, k, v, 64),
        lambda q, k, v: attend_sink_window(q, k, v, 64, 4),
        lambda q, k, v: attend_global_window(q, k, v, 64, 4, causal=False),
        lambda q, k, v: attend_big_bird(q, k, v, 64, 2, 1, 1),
        lambda q, k, v: attend_hierarchical(q, k, v, 64, 64),
        lambda q, k, v: attend_with_bias(
            q, k, v, lambda i, j: (j <= i) & (j > i - 64), window_span(64), slopes=alibi_slopes(1)
        ),
    ],
    ids=["strided", "sinks", "globals", "big-bird", "hierarchical", "alibi"],
)
def test_no_pattern_holds_a_matrix_of_all_pairs(attend: Any) -> None:
    length = 4096
    inputs = [x.requires_grad_() for x in random_inputs(1, 1, 1, length, 8, 8)]
    peak = peak_bytes(lambda: attend(*inputs).sum().backward(), inputs)
    assert peak < length * length * 4 / 5

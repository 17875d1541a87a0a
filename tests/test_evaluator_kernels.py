"""Kernels equal the float64 reference, forward and backward, and a window's cost is a window's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from evaluator.kernels import KERNELS, KVCache
from evaluator.kernels.reference import reference_attention
from evaluator.kernels.sliding_window import CHUNK, window_by_copies
from evaluator.peak_bytes import peak_bytes
from search_space import PATTERNS, Dense, Pattern, SlidingWindow

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
PATHS = ("kernel", "copies")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Small products gain nothing from two, and lose much on a busy machine."""
    torch.set_num_threads(1)


def attend_with(path: str, pattern: Pattern) -> Attend:
    """The registered kernel, or the window's path for devices other than the CPU."""
    if path == "kernel":
        return KERNELS[pattern.name](pattern).full
    assert isinstance(pattern, SlidingWindow)
    return lambda q, k, v: window_by_copies(q, k, v, pattern.window)


def random_inputs(
    batch: int, heads: int, groups: int, length: int, dim: int, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, heads, length, dim)] + 2 * [(batch, groups, length, dim)]
    query, keys, values = (torch.randn(shape, generator=generator) for shape in shapes)
    return query, keys, values


def transposed(tensor: Tensor) -> Tensor:
    """The same values, laid out as the model's projections give them: (B, T, H, D) in memory."""
    return tensor.transpose(1, 2).contiguous().transpose(1, 2)


def check_against_reference(
    attend: Attend, pattern: Pattern, inputs: tuple[Tensor, ...], layout: Any = lambda x: x
) -> None:
    """Output and all three gradients, under random output gradients."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    exact = [tensor.double().requires_grad_() for tensor in inputs]
    query, keys, values = (layout(leaf) for leaf in leaves)
    out = attend(query, keys, values)
    expected = reference_attention(exact[0], exact[1], exact[2], pattern)
    torch.testing.assert_close(out.double(), expected, atol=2e-5, rtol=1e-5)

    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (layout(out) * weights).sum().backward()
    (expected * weights.double()).sum().backward()
    for leaf, truth in zip(leaves, exact, strict=True):
        assert leaf.grad is not None
        assert truth.grad is not None
        torch.testing.assert_close(leaf.grad.double(), truth.grad, atol=5e-5, rtol=1e-4)


def test_kernels_are_for_patterns_of_the_language() -> None:
    assert set(KERNELS) <= set(PATTERNS)


def test_the_reference_is_the_textbook_formula_on_three_tokens() -> None:
    query = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1).expand(1, 1, 3, 4) / 2
    keys = torch.tensor([1.0, -1.0, 0.5]).reshape(1, 1, 3, 1).expand(1, 1, 3, 4) / 2
    values = torch.tensor([10.0, 20.0, 40.0]).reshape(1, 1, 3, 1).expand(1, 1, 3, 4)
    # scores are q * k * 4 / 4 / sqrt(4) = q * k / 2
    out = reference_attention(query, keys, values, SlidingWindow(2))[0, 0, :, 0]
    second = torch.tensor([2 * 1.0 / 2, 2 * -1.0 / 2], dtype=torch.float64).softmax(0)
    third = torch.tensor([3 * -1.0 / 2, 3 * 0.5 / 2], dtype=torch.float64).softmax(0)
    expected = torch.stack(
        (
            torch.tensor(10.0, dtype=torch.float64),
            second @ torch.tensor([10.0, 20.0], dtype=torch.float64),
            third @ torch.tensor([20.0, 40.0], dtype=torch.float64),
        )
    )
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("length", [1, 2, 17, 200])
def test_dense_equals_the_reference(groups: int, length: int) -> None:
    inputs = random_inputs(2, 4, groups, length, 16)
    check_against_reference(attend_with("kernel", Dense()), Dense(), inputs)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("length", "window"),
    [
        (2, 1),
        (64, 1),
        (65, 64),  # length - 1: one row is left after the causal head
        (130, 129),
        (CHUNK + 1, 1),  # exactly one whole chunk
        (CHUNK + 8, 8),
        (2 * CHUNK + 8, 8),  # whole chunks, no rest
        (2 * CHUNK + 9, 8),  # a rest of one row
        (3 * CHUNK - 1, CHUNK),
        (300, 200),  # a window longer than a chunk
    ],
)
def test_a_window_equals_the_reference(path: str, length: int, window: int) -> None:
    inputs = random_inputs(2, 4, 2, length, 8)
    pattern = SlidingWindow(window)
    check_against_reference(attend_with(path, pattern), pattern, inputs)


@pytest.mark.parametrize("window", [16, 17, 1000])
def test_a_window_as_long_as_the_sequence_is_dense(window: int) -> None:
    query, keys, values = random_inputs(1, 2, 1, 16, 8)
    windowed = attend_with("kernel", SlidingWindow(window))(query, keys, values)
    dense = attend_with("kernel", Dense())(query, keys, values)
    assert torch.equal(windowed, dense)


@pytest.mark.parametrize("path", PATHS)
def test_inputs_may_lie_in_memory_as_the_projections_leave_them(path: str) -> None:
    inputs = random_inputs(2, 4, 2, 150, 8)
    assert not transposed(inputs[0]).is_contiguous()
    pattern = SlidingWindow(20)
    check_against_reference(attend_with(path, pattern), pattern, inputs, transposed)


def test_dense_takes_inputs_as_the_projections_leave_them() -> None:
    inputs = random_inputs(2, 4, 2, 33, 8)
    check_against_reference(attend_with("kernel", Dense()), Dense(), inputs, transposed)


@pytest.mark.parametrize("path", PATHS)
def test_inputs_may_be_slices_of_a_longer_tensor(path: str) -> None:
    """Strides that skip: every second head and token, and an offset."""
    query, keys, values = (x[:, ::2, 3::2] for x in random_inputs(2, 8, 4, 301, 8))
    pattern = SlidingWindow(20)
    out = attend_with(path, pattern)(query, keys, values)
    expected = reference_attention(query, keys, values, pattern)
    torch.testing.assert_close(out.double(), expected, atol=2e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 3),
    groups=st.integers(1, 3),
    group=st.integers(1, 4),
    length=st.integers(2, 150),
    share=st.floats(0, 1),
    dim=st.sampled_from([2, 4, 8, 16, 34]),
    layout=st.sampled_from([transposed, Tensor.contiguous]),
    seed=st.integers(0, 1000),
)
def test_any_shape_of_a_window_equals_the_reference(
    batch: int, groups: int, group: int, length: int, share: float, dim: int, layout: Any, seed: int
) -> None:
    inputs = random_inputs(batch, groups * group, groups, length, dim, seed)
    pattern = SlidingWindow(1 + round(share * (length - 2)))  # 1 ... length - 1
    for path in PATHS:
        check_against_reference(attend_with(path, pattern), pattern, inputs, layout)


def test_query_heads_share_the_keys_of_their_group() -> None:
    """Query head h uses KV head h // (H / G), as Llama lays its weights out."""
    query, keys, values = random_inputs(1, 6, 3, 90, 8)
    pattern = SlidingWindow(10)
    for attend, of in (
        (attend_with("kernel", pattern), pattern),
        (attend_with("copies", pattern), pattern),
        (attend_with("kernel", Dense()), Dense()),
    ):
        grouped = attend(query, keys, values)
        for head in range(6):
            group = slice(head // 2, head // 2 + 1)
            alone = reference_attention(
                query[:, head : head + 1], keys[:, group], values[:, group], of
            )
            got = grouped[:, head : head + 1].double()
            torch.testing.assert_close(got, alone, atol=2e-5, rtol=1e-5)


def test_large_scores_stay_finite() -> None:
    query, keys, values = random_inputs(1, 2, 1, 150, 8)
    pattern = SlidingWindow(12)
    for path in PATHS:
        out = attend_with(path, pattern)(100 * query, 100 * keys, values)
        expected = reference_attention(100 * query, 100 * keys, values, pattern)
        torch.testing.assert_close(out.double(), expected, atol=2e-3, rtol=1e-3)


class ScoreCounter(TorchDispatchMode):
    """Counts scores (query rows times keys) of every fused attention call, and matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = 0
        self.products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name == "_scaled_dot_product_flash_attention_for_cpu":
            query, keys = args[0], args[1]
            self.scores += query.shape[:-1].numel() * keys.shape[-2]
        elif name in ("bmm", "mm", "baddbmm"):
            self.products += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("path", PATHS)
def test_a_window_computes_little_more_than_its_pairs(path: str) -> None:
    length, window, heads = 4096, 64, 2
    query, keys, values = random_inputs(1, heads, 1, length, 8)
    with ScoreCounter() as counter:
        attend_with(path, SlidingWindow(window))(query, keys, values)
    pairs = heads * SlidingWindow(window).attended_pairs(length)
    assert counter.products == 0  # nothing goes around the counted kernel
    assert pairs <= counter.scores <= 2.1 * pairs  # a chunk's rows see one chunk too much


@pytest.mark.parametrize("path", PATHS)
def test_a_window_never_holds_a_matrix_of_all_pairs(path: str) -> None:
    length = 4096
    query, keys, values = (x.requires_grad_() for x in random_inputs(1, 1, 1, length, 8))

    def both_ways() -> None:
        attend_with(path, SlidingWindow(64))(query, keys, values).sum().backward()

    inputs_bytes = 3 * query.nbytes
    assert peak_bytes(both_ways, [query, keys, values]) < inputs_bytes + length * length * 4 / 20


def test_the_count_of_bytes_would_see_a_matrix_of_all_pairs() -> None:
    query, keys, values = random_inputs(1, 1, 1, 512, 8)
    full = peak_bytes(lambda: reference_attention(query, keys, values, SlidingWindow(8)), [])
    assert full > 512 * 512 * 8


def filled_cache(slots: int, wraps: bool, pieces: list[int]) -> tuple[KVCache, Tensor]:
    """A cache after appending positions 0, 1, 2, ... in pieces; each value is its position."""
    cache = KVCache(1, 1, slots, 2, wraps=wraps, like=torch.zeros(1))
    positions = torch.arange(float(sum(pieces))).reshape(1, 1, -1, 1).expand(1, 1, -1, 2)
    done = 0
    for piece in pieces:
        fresh = positions[:, :, done : done + piece]
        cache.append(fresh, -fresh)
        done += piece
    return cache, positions


@settings(max_examples=200, deadline=None, derandomize=True)
@given(slots=st.integers(1, 9), pieces=st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_a_ring_holds_exactly_the_newest_positions(slots: int, pieces: list[int]) -> None:
    cache, _ = filled_cache(slots, True, pieces)
    seen = sum(pieces)
    newest = list(range(max(0, seen - slots), seen))
    keys, values = cache.in_order()
    assert keys[0, 0, :, 0].tolist() == newest
    assert values[0, 0, :, 1].tolist() == [-position for position in newest]
    stored = cache.filled()[0][0, 0, :, 0].tolist()
    assert stored == sorted(newest, key=lambda position: position % slots)


def test_a_cache_that_does_not_wrap_refuses_one_token_too_many() -> None:
    cache, positions = filled_cache(4, False, [3, 1])
    with pytest.raises(ValueError, match=r"was made for 4 tokens, but 5 were given; make it with"):
        cache.append(positions[:, :, :1], positions[:, :, :1])
    assert cache.length == 4


def test_rewinding_overwrites_the_same_slot_again() -> None:
    cache, _ = filled_cache(3, True, [5])
    cache.rewind(4)
    fresh = torch.full((1, 1, 1, 2), 99.0)
    cache.append(fresh, fresh)
    assert cache.length == 5
    assert cache.in_order()[0][0, 0, :, 0].tolist() == [2, 3, 99]


def test_a_cache_counts_the_bytes_that_it_allocates() -> None:
    cache = KVCache(2, 3, 5, 4, wraps=True, like=torch.zeros(1))
    assert cache.allocated_bytes == 2 * (2 * 3 * 5 * 4) * 4

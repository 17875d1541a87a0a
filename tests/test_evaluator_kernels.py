"""Kernels, caches and decoding equal the language's formulas and the float64 reference."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import evaluator.attention
from evaluator.kernels import KERNELS, HeadShape, StateCache, TokenCache
from evaluator.kernels.chunked_scores import alibi_slopes
from evaluator.kernels.decode import attend_cached, attend_scored, attend_where
from evaluator.kernels.hierarchical import HierarchicalMixer
from evaluator.kernels.reference import reference_attention
from evaluator.kernels.sliding_window import window_by_copies
from evaluator.peak_bytes import peak_bytes
from search_space import (
    PATTERNS,
    Alibi,
    BigBird,
    BlockLocal,
    Dense,
    DilatedWindow,
    GlobalWindow,
    Heads,
    Hierarchical,
    Kind,
    LayerDesign,
    Pattern,
    SinkWindow,
    SlidingWindow,
    Strided,
)

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
PATHS = ("kernel", "copies")
LONGEST = 40  # positions

sizes = st.integers(1, 5) | st.integers(1, LONGEST + 2)
TOKEN_PATTERNS: dict[str, st.SearchStrategy[Pattern]] = {
    "dense": st.just(Dense()),
    "sliding-window": st.builds(SlidingWindow, sizes),
    "dilated-window": st.builds(DilatedWindow, sizes, sizes),
    "block-local": st.builds(BlockLocal, sizes),
    "strided": st.builds(Strided, sizes),
    "sink-window": st.builds(SinkWindow, sizes, sizes),
    "global-window": st.builds(GlobalWindow, sizes, sizes),
    "big-bird": st.builds(
        BigBird, sizes, st.integers(1, 3), st.integers(0, 2), st.integers(1, 3), st.integers(0, 9)
    ),
}
token_patterns = st.one_of(*TOKEN_PATTERNS.values())


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Small products gain nothing from two, and lose much on a busy machine."""
    torch.set_num_threads(1)


def attend_with(path: str, pattern: Pattern, kind: Kind = "causal") -> Attend:
    """The registered kernel, or the window's path for devices other than the CPU."""
    if path == "copies":
        assert isinstance(pattern, SlidingWindow)
        return lambda q, k, v: window_by_copies(q, k, v, pattern.window)
    kernel = KERNELS[pattern.name](pattern)
    return lambda q, k, v: kernel.full(q, k, v, None, kind == "causal")


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
    attend: Attend,
    pattern: Pattern,
    inputs: tuple[Tensor, ...],
    layout: Any = lambda x: x,
    kind: Kind = "causal",
) -> None:
    """Output and all three gradients, under random output gradients."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    exact = [tensor.double().requires_grad_() for tensor in inputs]
    query, keys, values = (layout(leaf) for leaf in leaves)
    out = attend(query, keys, values)
    expected = reference_attention(exact[0], exact[1], exact[2], pattern, kind)
    torch.testing.assert_close(out.double(), expected, atol=2e-5, rtol=1e-5)

    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (layout(out) * weights).sum().backward()
    (expected * weights.double()).sum().backward()
    for leaf, truth in zip(leaves, exact, strict=True):
        assert leaf.grad is not None
        assert truth.grad is not None
        torch.testing.assert_close(leaf.grad.double(), truth.grad, atol=5e-5, rtol=1e-4)


def test_every_pattern_has_a_kernel_or_a_mixer() -> None:
    assert set(KERNELS) == set(PATTERNS)
    kernels = {name for name, kernel in KERNELS.items() if not issubclass(kernel, nn.Module)}
    assert kernels == set(TOKEN_PATTERNS)
    assert kernels == {name for name, pattern in PATTERNS.items() if pattern.tokens_only}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(pattern=token_patterns)
def test_a_kernel_says_of_every_position_what_the_language_says(pattern: Pattern) -> None:
    kernel = KERNELS[pattern.name](pattern)
    at = torch.arange(LONGEST)
    visible = pattern.sees(at.numpy()[:, None], at.numpy()[None, :])  # (query, key)
    assert kernel.sees(at[:, None], at[None, :]).tolist() == visible.tolist()
    for position in range(LONGEST):
        read = [key for some in kernel.reads(position) for key in range(*some)]
        assert read == np.flatnonzero(visible[position]).tolist()
        assert len(read) == pattern.attended_at(position)
    for capacity in range(1, LONGEST + 1):
        assert kernel.kept(capacity) == pattern.kept(capacity)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(pattern=token_patterns, capacity=st.integers(1, LONGEST))
def test_what_a_position_reads_is_kept(pattern: Pattern, capacity: int) -> None:
    kernel = KERNELS[pattern.name](pattern)
    cache = numbered_cache(kernel.kept(capacity), capacity)
    for position in range(capacity):
        append(cache, 1)
        read = [key for some in kernel.reads(position) for key in range(*some)]
        keys, values = cache.read(kernel.reads(position))
        assert keys[0, 0, :, 0].tolist() == read
        assert values[0, 0, :, 2].tolist() == [-key for key in read]


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


@pytest.mark.parametrize("path", PATHS)
def test_inputs_may_lie_in_memory_as_the_projections_leave_them(path: str) -> None:
    inputs = random_inputs(2, 4, 2, 150, 8)
    assert not transposed(inputs[0]).is_contiguous()
    pattern = SlidingWindow(20)
    check_against_reference(attend_with(path, pattern), pattern, inputs, transposed)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    pattern=token_patterns,
    groups=st.integers(1, 3),
    group=st.integers(1, 3),
    length=st.integers(1, 130) | st.sampled_from([31, 32, 33, 63, 64, 65, 97, 129]),
    dim=st.sampled_from([2, 8, 34]),
    layout=st.sampled_from([transposed, Tensor.contiguous]),
    bidirectional=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_shape_of_any_pattern_equals_the_reference(
    pattern: Pattern,
    groups: int,
    group: int,
    length: int,
    dim: int,
    layout: Any,
    bidirectional: bool,
    seed: int,
) -> None:
    inputs = random_inputs(1, groups * group, groups, length, dim, seed)
    both = bidirectional and "bidirectional" in pattern.kinds
    kind: Kind = "bidirectional" if both else "causal"
    check_against_reference(attend_with("kernel", pattern, kind), pattern, inputs, layout, kind)
    if isinstance(pattern, SlidingWindow) and pattern.window < length:
        check_against_reference(attend_with("copies", pattern), pattern, inputs, layout)


@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize("length", [33, 65, 97])
def test_a_chunk_that_sees_only_before_itself_ends_with_the_sequence(
    stride: int, length: int
) -> None:
    inputs = random_inputs(1, 1, 1, length, 4)
    pattern = Strided(stride)
    check_against_reference(attend_with("kernel", pattern), pattern, inputs)


@pytest.mark.parametrize("path", PATHS)
def test_inputs_may_be_slices_of_a_longer_tensor(path: str) -> None:
    """Strides that skip: every second head and token, and an offset."""
    query, keys, values = (x[:, ::2, 3::2] for x in random_inputs(2, 8, 4, 301, 8))
    pattern = SlidingWindow(20)
    out = attend_with(path, pattern)(query, keys, values)
    expected = reference_attention(query, keys, values, pattern)
    torch.testing.assert_close(out.double(), expected, atol=2e-5, rtol=1e-5)


def test_large_scores_stay_finite() -> None:
    query, keys, values = random_inputs(1, 2, 1, 150, 8)
    pattern = SlidingWindow(12)
    for path in PATHS:
        out = attend_with(path, pattern)(100 * query, 100 * keys, values)
        expected = reference_attention(100 * query, 100 * keys, values, pattern)
        torch.testing.assert_close(out.double(), expected, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("larger", [1, 30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_long_windows_are_exact_for_small_scores_and_for_large_ones(
    larger: int, dtype: torch.dtype
) -> None:
    """Plain products take off no largest score; the fused kernel takes over where that matters."""
    query, keys, values = (x.to(dtype) for x in random_inputs(2, 4, 2, 1201, 8))
    inputs = [(larger * query).requires_grad_(), keys.requires_grad_(), values.requires_grad_()]
    wide = [x.detach().double().requires_grad_() for x in inputs]
    pattern = SlidingWindow(130)
    out = attend_with("kernel", pattern)(*inputs)
    expected = reference_attention(wide[0], wide[1], wide[2], pattern)
    torch.testing.assert_close(out.double(), expected, atol=1e-4, rtol=1e-4)
    for found, right in zip(
        torch.autograd.grad(out.sin().sum(), inputs),
        torch.autograd.grad(expected.sin().sum(), wide),
        strict=True,
    ):
        torch.testing.assert_close(found.double(), right, atol=1e-3, rtol=1e-3)


class ScoreCounter(TorchDispatchMode):
    """Counts scores (query rows times keys) of every fused attention call and plain product.

    A plain product writes scores with `baddbmm`, and multiplies them with values with `bmm`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scores = 0
        self.weights = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name == "_scaled_dot_product_flash_attention_for_cpu":
            query, keys = args[0], args[1]
            self.scores += query.shape[:-1].numel() * keys.shape[-2]
        elif name == "baddbmm":
            self.scores += args[1].shape[:-1].numel() * args[2].shape[-1]
        elif name in ("bmm", "mm"):
            self.weights += args[0].numel()
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("path", PATHS)
def test_a_window_computes_little_more_than_its_pairs(path: str) -> None:
    length, window, heads = 4096, 64, 2
    query, keys, values = random_inputs(1, heads, 1, length, 8)
    with ScoreCounter() as counter:
        attend_with(path, SlidingWindow(window))(query, keys, values)
    pairs = heads * SlidingWindow(window).attended_pairs(length)
    assert counter.weights <= counter.scores  # nothing goes around what is counted
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


def numbered_cache(kept: tuple[int, int], capacity: int) -> TokenCache:
    """For keys of 2 channels and values of 3."""
    return TokenCache((1, 1), (2, 3), kept, capacity, like=torch.zeros(1))


def append(cache: TokenCache, tokens: int) -> None:
    """The next positions, each key its position and each value its negative."""
    at = torch.arange(float(cache.length), float(cache.length + tokens)).reshape(1, 1, -1, 1)
    cache.append(at.expand(1, 1, -1, 2), -at.expand(1, 1, -1, 3))


def check_holds(cache: TokenCache, held: list[int]) -> None:
    """These positions and no others, in every way of asking."""
    assert sorted(cache.positions(torch.device("cpu")).tolist()) == held
    in_slots, (keys, values), at = cache.filled(), *cache.in_order()
    assert in_slots[0][0, 0, :, 0].tolist() == cache.positions(torch.device("cpu")).tolist()
    assert at.tolist() == keys[0, 0, :, 1].tolist() == held
    assert values[0, 0, :, 2].tolist() == [-position for position in held]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    first=st.integers(0, 4),
    recent=st.integers(1, 9),  # a token sees itself
    capacity=st.integers(1, 40),
    pieces=st.lists(st.integers(1, 12), min_size=1, max_size=8),
)
def test_a_cache_holds_exactly_the_first_and_the_most_recent_positions(
    first: int, recent: int, capacity: int, pieces: list[int]
) -> None:
    cache = numbered_cache((first, recent), capacity)
    assert cache.slots == min(capacity, first + recent)
    for piece in pieces:
        seen = cache.length
        if seen + piece > capacity:
            sentence = f"made for {capacity} tokens, but {seen + piece} were given; make it with"
            with pytest.raises(ValueError, match=sentence):
                append(cache, piece)
            assert cache.length == seen
            break
        append(cache, piece)
        seen += piece
        room = cache.slots - min(first, cache.slots)
        held = [p for p in range(seen) if p < first or p >= seen - room]
        check_holds(cache, held)
        for wanted in (held, held[::2], held[-3:], held[:1] + held[-1:]):
            read = cache.read([(p, p + 1, 1) for p in wanted]) if wanted else cache.filled()
            assert read[0][0, 0, :, 0].tolist() == (wanted or held)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(recent=st.integers(1, 9), seen=st.integers(1, 30), data=st.data())
def test_a_range_is_read_wherever_the_ring_wraps(
    recent: int, seen: int, data: st.DataObject
) -> None:
    cache = numbered_cache((2, recent), 30)
    append(cache, seen)
    start = data.draw(st.integers(max(0, seen - recent), seen - 1))
    step = data.draw(st.integers(1, 4))
    keys, values = cache.read([(start, seen, step)])
    assert keys[0, 0, :, 0].tolist() == list(range(start, seen, step))
    assert values.shape[2] == keys.shape[2]
    sinks = [(0, min(2, start), 1)] if start else []
    keys, _ = cache.read([*sinks, (start, seen, step)])
    assert keys[0, 0, :, 0].tolist() == [*range(min(2, start)), *range(start, seen, step)]


def test_what_lies_in_one_row_is_read_without_a_copy() -> None:
    cache = numbered_cache((0, 8), 30)
    append(cache, 11)  # positions 8, 9, 10 wrapped around
    (view, _), (copy, _) = cache.read([(4, 8, 1)]), cache.read([(6, 11, 1)])
    storage = cache.kept[0].untyped_storage().data_ptr()
    assert view.untyped_storage().data_ptr() == storage != copy.untyped_storage().data_ptr()


def test_rewinding_overwrites_the_same_slot_again() -> None:
    cache = numbered_cache((1, 3), 9)
    append(cache, 6)
    cache.rewind(5)
    fresh = torch.full((1, 1, 1, 3), 99.0)
    cache.append(fresh[..., :2], fresh)
    assert cache.length == 6
    assert cache.in_order()[0][0][0, 0, :, 0].tolist() == [0, 3, 4, 99]
    cache.rewind(0)
    append(cache, 2)
    check_holds(cache, [0, 1])


def test_a_state_can_take_its_last_step_back() -> None:
    cache = StateCache(((1, 2), (3,)), like=torch.zeros(1))
    assert [tuple(tensor.shape) for tensor in cache.tensors] == [(1, 2), (3,)]
    for value in (1.0, 2.0):
        cache.move(5, torch.full((1, 2), value), torch.full((3,), value))
    assert cache.length == 10
    for _ in range(2):  # and take it again, as often as one likes
        cache.rewind(5)
        assert cache.length == 5
        assert [float(tensor.max()) for tensor in cache.tensors] == [1.0, 1.0]
        cache.move(5, torch.full((1, 2), 3.0), torch.full((3,), 3.0))
        assert [float(tensor.max()) for tensor in cache.tensors] == [3.0, 3.0]
    cache.rewind(0)
    assert cache.length == 0
    assert not any(tensor.any() for tensor in cache.tensors)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    window=st.integers(1, 6),
    block=st.integers(1, 6),
    pieces=st.lists(st.integers(1, 9), min_size=1, max_size=6),
)
def test_summaries_are_the_means_of_whole_blocks_behind_the_window(
    window: int, block: int, pieces: list[int]
) -> None:
    layer = LayerDesign(Heads(1, 1, 2), Hierarchical(window, block))
    mixer = HierarchicalMixer(layer.pattern, HeadShape(8, 60, 1, 1, 2, 0, 1), layer)
    cache = mixer.new_cache(1, (2, 2), sum(pieces), torch.zeros(1), 1)
    kept = sum(tensor.shape[2] for tensor in cache.tensors) / 2
    assert kept == Hierarchical(window, block).cached_positions(sum(pieces))
    at = torch.arange(float(sum(pieces))).reshape(1, 1, -1, 1).expand(1, 1, -1, 2)
    for piece in at.split(pieces, dim=2):
        mixer(piece, mixer.take_in(piece, piece, cache, piece))
    count = max(0, sum(pieces) - window) // block
    means = [block * number + (block - 1) / 2 for number in range(count)]
    for summaries in cache.summaries:
        assert summaries[0, 0, :, 0].tolist() == pytest.approx(means)


def seen_from(pattern: Pattern, length: int, new: int) -> Tensor:
    """What the last `new` of `length` positions see: (T, S)."""
    i, j = np.arange(length - new, length)[:, None], np.arange(length)[None, :]
    return torch.from_numpy(pattern.visible(i, j))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("value_width", [8, 5])
def test_new_tokens_attend_to_a_cache_as_the_reference_does(
    groups: int, scale: float | None, value_width: int
) -> None:
    query, keys, values = random_inputs(2, 4, groups, 23, 8)
    values = values[..., :value_width]
    for pattern, new in ((Dense(), 1), (Dense(), 5), (SlidingWindow(4), 5), (Strided(3), 7)):
        expected = reference_attention(query, keys, values, pattern, scale=scale)[:, :, -new:]
        visible = seen_from(pattern, 23, new)
        out = attend_where(query[:, :, -new:], keys, values, visible, scale)
        torch.testing.assert_close(out.double(), expected, atol=2e-5, rtol=1e-5)
        if new == 1:
            out = attend_cached(query[:, :, -1:], keys, values, scale)
            torch.testing.assert_close(out.double(), expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("additive", [False, True])
def test_scores_of_any_kind_attend_to_a_cache_as_the_reference_does(
    groups: int, penalised: bool, additive: bool
) -> None:
    query, keys, values = random_inputs(2, 4, groups, 23, 8)
    direction = torch.randn(4, 8) if additive else None
    slopes = alibi_slopes(4) if penalised else None
    distance = torch.arange(23)[:, None] - torch.arange(23)[None, :]
    for pattern, new in ((Dense(), 1), (Dense(), 5), (SlidingWindow(4), 5)):
        expected = reference_attention(
            query, keys, values, pattern, slopes=slopes, direction=direction
        )
        visible = None if new == 1 else seen_from(pattern, 23, new)
        learned = (slopes, direction)
        some = query[:, :, -new:]
        out = attend_scored(some, keys, values, visible, distance[-new:], *learned, None)
        torch.testing.assert_close(out.double(), expected[:, :, -new:], atol=2e-5, rtol=1e-5)


def test_slopes_of_a_split_go_by_the_head_s_number_in_its_layer() -> None:
    layer = LayerDesign(Heads(4, 2, 8), position=Alibi())
    shape = HeadShape(8, 60, 2, 1, 8, 2, 4)
    mixer = evaluator.attention.mixer_of(layer.pattern, shape, layer, 1.0)
    assert mixer.slopes.tolist() == alibi_slopes(4)[2:].tolist()


def joined_modules() -> dict[str, ast.Module]:
    """All modules that an exported file may be joined of."""
    root = Path(evaluator.__file__).parent
    files = [p for p in (root / "kernels").glob("*.py") if p.stem not in ("__init__", "reference")]
    files += [
        root / f"{name}.py"
        for name in ("rotary", "attention", "latent_attention", "stack", "model")
    ]
    return {path.stem: ast.parse(path.read_text()) for path in files}


def names_of(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names at a module's top level and where they come from; our own modules' are left out."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, module
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (n for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
            yield from ((name.id, module) for name in names)
        elif isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not is_own(node):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def is_own(node: ast.ImportFrom) -> bool:
    return (node.module or "").startswith("evaluator")


def test_modules_that_are_joined_into_one_file_share_no_name() -> None:
    """attnas/model_export/standalone.py puts them one behind the other, imports taken out."""
    origins = defaultdict(set)
    for module, tree in joined_modules().items():
        for name, origin in names_of(module, tree):
            origins[name].add(origin)
    assert {name: found for name, found in origins.items() if len(found) > 1} == {}
    taken = {"MODELS", "load", "Design", "KERNELS"}  # by the file itself
    assert taken & set(origins) == set()


def test_modules_that_are_joined_take_each_other_s_names_as_they_are() -> None:
    """An `as`, or an import within a function, would be lost or fail in the one file."""
    for module, tree in joined_modules().items():
        top = set(map(id, tree.body))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and is_own(node):
                assert id(node) in top, module
                assert not any(alias.asname for alias in node.names), module

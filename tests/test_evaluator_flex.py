"""CUDA's kernels, tested up to the launch here, and against the reference where there is a GPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnas.model_export.standalone import standalone_source
from evaluator.kernels import KERNELS, dispatch, flex
from evaluator.kernels.chunked_scores import alibi_slopes
from evaluator.kernels.dispatch import ATTEND, CUDA, PLAIN, Route, route, use_compiled_kernels
from evaluator.kernels.flex import BLOCK, attend_flex, block_mask, block_pairs, less_by_distance
from evaluator.kernels.mixer import HeadShape, TokenMixer
from evaluator.kernels.reference import reference_attention
from evaluator.model import CausalLM
from evaluator.peak_bytes import peak_bytes
from search_space import (
    PATTERNS,
    Additive,
    Dense,
    Design,
    Heads,
    LayerDesign,
    Pattern,
    SlidingWindow,
)
from search_space.patterns import (
    BigBird,
    BlockLocal,
    DilatedWindow,
    GlobalWindow,
    SinkWindow,
    Strided,
)
from search_space.positions import Alibi

CPU = torch.device("cpu")
CASES: list[Pattern] = [
    Dense(),
    SlidingWindow(1),
    SlidingWindow(128),
    SlidingWindow(300),
    DilatedWindow(3, 7),
    DilatedWindow(5, 128),
    Strided(3),
    Strided(200),
    SinkWindow(20, 4),
    SinkWindow(140, 200),
    SinkWindow(1, 128),
    SinkWindow(200, 70),
    GlobalWindow(20, 4),
    GlobalWindow(2, 256),
    GlobalWindow(130, 130),
    BlockLocal(16),
    BlockLocal(100),
    BlockLocal(384),
    BigBird(16, 2, 1, 2),
    BigBird(100, 1, 0, 1, seed=3),
    BigBird(128, 1, 1, 1),
    BigBird(200, 2, 1, 1),
]
LENGTHS = (1, 77, 128, 129, 640, 777)
WAYS = [
    pytest.param(pattern, causal, id=f"{pattern}-{'causal' if causal else 'both'}")
    for pattern in CASES
    for causal in (True, False)
    if causal or "bidirectional" in pattern.kinds
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@cache
def traced() -> Any:
    return torch.compile(flex.attention, fullgraph=True, dynamic=False, backend="eager")


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same graph, traced whole, run by plain operations: no compiler for each shape."""
    monkeypatch.setattr(flex, "compiled", traced)


def kernel_of(pattern: Pattern) -> Any:
    return KERNELS[pattern.name](pattern)


def kind_of(causal: bool) -> Any:
    return "causal" if causal else "bidirectional"


def formula(pattern: Pattern, length: int, causal: bool) -> Tensor:
    """The language's own: (T, T)."""
    at = np.arange(length)
    return torch.from_numpy(pattern.visible(at[:, None], at[None, :], kind_of(causal)))


def mixer_of(pattern: Pattern, causal: bool, shape: HeadShape, position: Any = None) -> TokenMixer:
    given = {} if position is None else {"position": position}
    layer = LayerDesign(
        Heads.grouped(shape.heads, kv=shape.kv_heads, dim=shape.dim),
        pattern,
        kind=kind_of(causal),
        **given,
    )
    return TokenMixer(kernel_of(pattern), shape, layer, None)


def inputs_of(length: int, heads: int, groups: int, width: int, value_width: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length)
    shapes = [(heads, width), (groups, width), (groups, value_width)]
    return [
        torch.randn(2, length, count, size, generator=generator).transpose(1, 2)
        for count, size in shapes
    ]


@pytest.mark.parametrize(("pattern", "causal"), WAYS)
def test_block_masks_equal_the_formula(pattern: Pattern, causal: bool) -> None:
    for length in LENGTHS:
        kernel, expected = kernel_of(pattern), formula(pattern, length, causal)
        mask = block_mask(kernel, length, causal=causal, device=CPU)
        at = torch.arange(length, dtype=torch.int32)
        zero = torch.zeros((), dtype=torch.int32)
        seen = mask.mask_mod(zero, zero, at[:, None], at[None, :])
        torch.testing.assert_close(seen, expected, atol=0, rtol=0)

        rest = -length % BLOCK
        blocks = F.pad(expected, (0, rest, 0, rest)).unflatten(0, (-1, BLOCK))
        counts = blocks.unflatten(2, (-1, BLOCK)).sum((1, 3))  # (N, N)
        some, whole = block_pairs(kernel, length, causal)
        torch.testing.assert_close(some, counts > 0, atol=0, rtol=0)
        torch.testing.assert_close(whole, counts == BLOCK * BLOCK, atol=0, rtol=0)
        torch.testing.assert_close(mask.to_dense()[0, 0].bool(), some, atol=0, rtol=0)
        assert mask.full_kv_num_blocks is not None
        assert mask.full_kv_num_blocks[0, 0].tolist() == whole.sum(1).tolist()
        assert mask.full_q_num_blocks is not None
        assert mask.full_q_num_blocks[0, 0].tolist() == whole.sum(0).tolist()
        assert mask.shape[-2:] == (length, length)


LONG = 65_536


@pytest.mark.parametrize(
    "pattern",
    [
        SlidingWindow(256),
        Strided(256),
        GlobalWindow(256, 64),
        BlockLocal(64),
        BigBird(64, 3, 1, 2),
    ],
    ids=str,
)
def test_no_matrix_of_all_pairs_is_made(pattern: Pattern) -> None:
    """It would have 4 GiB as bytes; a mask has 512 x 512 blocks."""
    kernel = kernel_of(pattern)
    peak = peak_bytes(lambda: block_mask(kernel, LONG, causal=False, device=CPU), [])
    assert peak < 100 * 2**20


def test_a_mask_is_made_once_for_equal_patterns_and_trains_after_measuring() -> None:
    with torch.inference_mode():
        mask = block_mask(kernel_of(SlidingWindow(33)), 300, causal=True, device=CPU)
    assert block_mask(kernel_of(SlidingWindow(33)), 300, causal=True, device=CPU) is mask
    assert block_mask(kernel_of(SlidingWindow(34)), 300, causal=True, device=CPU) is not mask
    assert not mask.kv_indices.is_inference()


def test_a_kernel_without_a_block_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="has no block mask"):
        block_pairs(nn.Module(), 5, True)  # pyright: ignore[reportArgumentType]


def test_the_penalty_equals_its_formula() -> None:
    slopes, at = alibi_slopes(4), torch.arange(9)
    head = torch.arange(4)[:, None, None]
    score = torch.randn(4, 9, 9)
    batch = torch.zeros(())
    got = less_by_distance(slopes)(score, batch, head, at[:, None], at[None, :])
    expected = score - slopes[:, None, None] * (at[:, None] - at[None, :]).abs()
    torch.testing.assert_close(got, expected)


def test_the_table_has_a_row_with_a_reason_for_every_pattern_and_odd_score() -> None:
    assert set(CUDA) == set(PATTERNS) | {"alibi", "additive"}
    assert set(KERNELS) == set(PATTERNS)
    assert {row.how for row in CUDA.values()} == set(ATTEND)
    assert all(row.why for row in CUDA.values())
    whole_mixers = [name for name, kernel in KERNELS.items() if issubclass(kernel, nn.Module)]
    assert all(CUDA[name].how == "own" for name in whole_mixers)


@pytest.mark.parametrize("name", CUDA)
def test_only_training_on_cuda_reads_the_table(name: str) -> None:
    assert route(name, "cuda", training_kernels=True) is CUDA[name]
    assert route(name, "cuda", training_kernels=False) is PLAIN
    assert route(name, "cpu", training_kernels=True) is PLAIN


def test_the_switch_is_off_unless_asked_for_and_goes_back() -> None:
    assert TokenMixer.faster is None
    with use_compiled_kernels():
        assert TokenMixer.faster is dispatch.attend_by_table
        with use_compiled_kernels(False):
            assert TokenMixer.faster is None
        assert TokenMixer.faster is dispatch.attend_by_table
    assert TokenMixer.faster is None
    with pytest.raises(KeyError), use_compiled_kernels():
        raise KeyError
    assert TokenMixer.faster is None


MIXED = Design(
    64,
    512,
    (
        LayerDesign(Heads.grouped(4, kv=2, dim=16), SlidingWindow(40)),
        LayerDesign(Heads.multi_query(4, dim=16), BlockLocal(32)),
        LayerDesign(Heads.multi(4, dim=16), DilatedWindow(9, 4), position=Alibi()),
        LayerDesign(Heads.multi(2, dim=32), BigBird(16, 1, 1, 1)),
        LayerDesign(Heads.grouped(4, kv=2, dim=16)),
    ),
)


def test_nothing_of_it_is_exported() -> None:
    source = standalone_source(MIXED)
    for word in ("flex", "dispatch", "Route"):
        assert word not in source


def test_on_the_cpu_the_switch_changes_no_bit() -> None:
    torch.manual_seed(0)
    model, tokens = CausalLM(MIXED, 50), torch.randint(50, (2, 100))
    before = model(tokens)
    with use_compiled_kernels():
        assert torch.equal(model(tokens), before)


ROUTED = [
    (pattern, causal)
    for pattern in (
        Dense(),
        SlidingWindow(20),
        DilatedWindow(5, 3),
        DilatedWindow(70, 500),
        BlockLocal(16),
        BlockLocal(500),
        Strided(16),
        SinkWindow(20, 4),
        GlobalWindow(20, 4),
        BigBird(16, 1, 1, 1),
    )
    for causal in (True, False)
    if causal or "bidirectional" in pattern.kinds
]


def check_route(
    pattern: Pattern, causal: bool, inputs: list[Tensor], position: Any = None, tol: float = 2e-5
) -> None:
    """The pattern's own row, or ALiBi's, against the reference."""
    heads, width = inputs[0].shape[1], inputs[0].shape[3]
    shape = HeadShape(heads * width, 4096, heads, inputs[1].shape[1], width, 0, heads)
    mixer = mixer_of(pattern, causal, shape, position).to(inputs[0].device)
    attend = ATTEND[CUDA["alibi" if position is not None else pattern.name].how]
    assert attend is not None
    out = attend(mixer, *inputs)
    slopes = None if mixer.slopes is None else mixer.slopes.cpu()
    truth = [x.detach().cpu().double().requires_grad_() for x in inputs]
    expected = reference_attention(
        truth[0], truth[1], truth[2], pattern, kind_of(causal), slopes=slopes
    )
    torch.testing.assert_close(out.detach().cpu().double(), expected.detach(), atol=tol, rtol=tol)
    if not inputs[0].requires_grad:
        return
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad(out, inputs, weights.to(out))
    exact = torch.autograd.grad(expected, truth, weights.double())
    for grad, true_grad in zip(grads, exact, strict=True):
        torch.testing.assert_close(grad.cpu().double(), true_grad, atol=5 * tol, rtol=5 * tol)


@pytest.mark.parametrize(("pattern", "causal"), ROUTED, ids=str)
@pytest.mark.usefixtures("without_kernels")
def test_every_route_equals_the_reference(pattern: Pattern, causal: bool) -> None:
    """Forward, as FlexAttention has no backward pass on CPU."""
    inputs = inputs_of(301, 4, 2, 16, 24)
    check_route(pattern, causal, inputs)
    check_route(pattern, causal, inputs, Alibi())


@pytest.mark.parametrize("length", [1, 50])
@pytest.mark.parametrize("sizes", [(2, 2, 8, 8), (4, 1, 24, 10)], ids=str)
@pytest.mark.usefixtures("without_kernels")
def test_short_sequences_and_narrow_heads_are_right(
    length: int, sizes: tuple[int, int, int, int]
) -> None:
    for pattern in (SlidingWindow(20), DilatedWindow(5, 3), BlockLocal(16)):
        check_route(pattern, False, inputs_of(length, *sizes))


@pytest.mark.usefixtures("without_kernels")
def test_a_mixed_model_goes_by_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way from the model through the table, as if the CPU were a GPU."""
    rows: list[str] = []

    def as_on_cuda(name: str, device_type: str, *, training_kernels: bool) -> Route:
        rows.append(name)
        return CUDA[name]

    monkeypatch.setattr(dispatch, "route", as_on_cuda)
    torch.manual_seed(0)
    model, tokens = CausalLM(MIXED, 50).eval(), torch.randint(50, (2, 200))
    expected = model(tokens).detach()
    assert rows == []
    with use_compiled_kernels(), torch.no_grad():
        torch.testing.assert_close(model(tokens), expected, atol=1e-4, rtol=1e-4)
    assert rows == ["sliding-window", "block-local", "alibi", "big-bird", "dense"]


def test_doubles_and_additive_scores_stay_with_the_mixer() -> None:
    shape = HeadShape(16, 64, 2, 2, 8, 0, 2)
    additive = LayerDesign(
        Heads.multi(2, dim=8), SlidingWindow(4), score=Additive(), position=Alibi()
    )
    assert (
        dispatch.row_of(TokenMixer(kernel_of(additive.pattern), shape, additive, None))
        == "additive"
    )
    dense = mixer_of(Dense(), True, shape)
    doubles = [x.double() for x in inputs_of(9, 2, 2, 8, 8)]
    assert dispatch.attend_by_table(dense, doubles[0], doubles[1], doubles[2]) is None


@pytest.mark.usefixtures("without_kernels")
def test_windows_of_all_sizes_share_a_graph() -> None:
    """A number inside the mask would be traced anew for each window, and then refused."""
    query, keys, values = inputs_of(300, 4, 2, 16, 16)

    def attend(window: int) -> Tensor:
        kernel = kernel_of(SlidingWindow(window))
        return attend_flex(query, keys, values, kernel, causal=True, scale=None)

    attend(3)
    with torch._dynamo.config.patch(error_on_recompile=True):
        assert not torch.equal(attend(130), attend(299))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's, about itself
def test_compiled_kernels_equal_the_reference_on_the_cpu() -> None:
    for pattern in (SinkWindow(20, 4), BigBird(16, 1, 1, 1)):
        inputs = inputs_of(301, 4, 2, 16, 16)
        with torch.no_grad():
            check_route(pattern, True, inputs)


# ---- with a GPU

has_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
compiler_warns = pytest.mark.filterwarnings("ignore")
SIZES = [(1, (2, 2, 16, 16)), (77, (4, 2, 32, 32)), (640, (4, 1, 64, 64)), (1111, (8, 2, 24, 40))]


@pytest.mark.gpu
@has_cuda
@compiler_warns
@pytest.mark.parametrize(("pattern", "causal"), ROUTED, ids=str)
@pytest.mark.parametrize(("length", "sizes"), SIZES, ids=str)
@pytest.mark.parametrize("position", [None, Alibi()], ids=["plain", "alibi"])
def test_on_cuda_every_route_equals_the_reference(
    pattern: Pattern, causal: bool, length: int, sizes: tuple[int, int, int, int], position: Any
) -> None:
    """Float32, whose products are exact unless torch is told otherwise; forward and backward."""
    inputs = [x.cuda().requires_grad_() for x in inputs_of(length, *sizes)]
    check_route(pattern, causal, inputs, position, tol=1e-4)


@pytest.mark.gpu
@has_cuda
@compiler_warns
@pytest.mark.parametrize(("pattern", "causal"), ROUTED, ids=str)
def test_on_cuda_every_route_is_right_in_half_precision(pattern: Pattern, causal: bool) -> None:
    inputs = [x.cuda().bfloat16().requires_grad_() for x in inputs_of(640, 4, 2, 64, 64)]
    check_route(pattern, causal, inputs, tol=3e-2)


@pytest.mark.gpu
@has_cuda
@compiler_warns
@pytest.mark.parametrize("training_kernels", [True, False])
def test_on_cuda_a_mixed_model_trains_and_decodes_as_on_the_cpu(training_kernels: bool) -> None:
    torch.manual_seed(0)
    model, tokens = CausalLM(MIXED, 50), torch.randint(50, (2, 200))
    expected = model(tokens)
    expected.square().mean().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    made = model.eval().generate(tokens[:, :150], 20)
    model.zero_grad()
    model.cuda().train()
    with use_compiled_kernels(training_kernels):
        logits = model(tokens.cuda())
        logits.square().mean().backward()
        torch.testing.assert_close(logits.cpu(), expected, atol=1e-3, rtol=1e-3)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(
                parameter.grad.cpu(), gradients[name], atol=1e-4, rtol=1e-2, msg=name
            )
        assert torch.equal(model.eval().generate(tokens[:, :150].cuda(), 20).cpu(), made)

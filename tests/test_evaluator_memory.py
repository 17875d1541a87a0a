"""Memory is known before anything is allocated: counted on fake tensors, byte for byte as run."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from random_designs import random_design
from torch import Tensor

from evaluator.fake_run import fake_model, fake_run
from evaluator.grid import GridConfig
from evaluator.kernels.passes import few_passes, passes
from evaluator.memory import (
    allocated_cache_bytes,
    measured_memory_costs,
    measured_together,
    memory_costs,
    prefill_peak,
    too_large,
    train_peak,
)
from evaluator.memory_limit import memory_limit
from evaluator.model import CausalLM, model_of
from evaluator.peak_bytes import _StorageCounter, allocator_peak, peak_bytes
from evaluator.tasks.interface import IGNORED, Batch
from evaluator.work import prefill_work
from search_space import (
    Additive,
    Alibi,
    BigBird,
    Dense,
    Design,
    GatedLinear,
    GlobalWindow,
    Heads,
    LayerDesign,
    Linear,
    NoPosition,
    SlidingWindow,
    counts,
)
from search_space.design import ModelKind
from search_space.presets.registry import PRESETS

VOCABULARY = 20


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """These models are so small that two threads wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def blank(batch: int, tokens: int) -> Batch:
    zeros = torch.zeros(batch, tokens, dtype=torch.long)
    return Batch(zeros, zeros)


def drawn(kind: ModelKind, batch: int, tokens: int, seed: int = 0) -> Batch:
    """Some targets count; an encoder-decoder has a source."""
    generator = torch.Generator().manual_seed(seed)
    symbols = torch.randint(VOCABULARY, (batch, tokens), generator=generator)
    counted = torch.rand(batch, tokens, generator=generator) < 0.6
    source = symbols if kind == "encoder-decoder" else None
    return Batch(symbols, symbols.where(counted, IGNORED), source)


def assert_counted_as_run(design: Design, grid: GridConfig, batch: Batch) -> None:
    counted = memory_costs(design, VOCABULARY, 0, grid, batch)
    assert counted == measured_memory_costs(design, VOCABULARY, 0, grid, batch)


@pytest.fixture
def design() -> Design:
    layer = LayerDesign(Heads(2, 1, 8), SlidingWindow(16))
    return Design(32, 128, (layer, LayerDesign(Heads(2, 2, 8), Dense())))


def test_peak_bytes_are_those_counted_by_hand() -> None:
    held = torch.zeros(1000)  # 4,000 bytes

    def work() -> None:
        doubled = held * 2  # 8,000
        both = torch.cat((doubled, held))  # 16,000: the peak
        del doubled  # 12,000
        both[:10].clone()  # 12,040; a slice allocates nothing

    assert peak_bytes(work, [held]) == 16_000


def test_peak_bytes_see_what_the_backward_pass_keeps() -> None:
    weight = torch.zeros(1000, requires_grad=True)  # 4,000 bytes

    def work() -> None:
        (weight.exp() * 1.0).sum().backward()

    # exp 4,000 is kept for its gradient, the product 4,000, the sum 4
    assert peak_bytes(work, [weight]) >= 12_004


def test_peak_bytes_count_a_shared_storage_once() -> None:
    held = torch.zeros(1000)
    assert peak_bytes(lambda: held.view(10, 100).t(), [held, held[5:]]) == 4_000


def test_a_count_lets_go_of_what_outlives_it() -> None:
    """Also where the work fails, as one that is out of memory does."""
    kept: list[Tensor] = []

    def work() -> None:
        kept.append(torch.zeros(10))
        raise MemoryError

    held = torch.zeros(1000)
    with pytest.raises(MemoryError):
        peak_bytes(work, [held])
    gc.collect()
    assert not any(type(found) is _StorageCounter for found in gc.get_objects())
    assert peak_bytes(lambda: held + 1, [held]) == 8_000


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name, preset in PRESETS.items() for kind in preset.kinds],
    ids=str,
)
def test_every_preset_is_counted_as_it_is_run(name: str, kind: ModelKind) -> None:
    """Long enough for kernels that go by heads and by groups of chunks."""
    design = PRESETS[name].build(width=32, depth=2, context=1100, heads=4, dim=8, kind=kind)
    grid = GridConfig(prefill=(1100, 64), decode=(64,), batch=(1, 2))
    assert_counted_as_run(design, grid, drawn(kind, 2, 700))


@pytest.mark.parametrize("seed", range(60))
def test_random_designs_are_counted_as_they_are_run(seed: int) -> None:
    design = random_design(np.random.default_rng([seed, 8]))
    grid = GridConfig(prefill=(design.context,), decode=(2,), batch=(3,))
    assert_counted_as_run(design, grid, drawn(design.kind, 2, design.context - seed % 2, seed))


HEADS = Heads(4, 2, 8)
LONG: dict[str, tuple[LayerDesign, int]] = {
    "alibi": (LayerDesign(HEADS, SlidingWindow(100), position=Alibi()), 300),
    "additive": (LayerDesign(HEADS, position=NoPosition(), score=Additive()), 200),
    "masked-blocks": (LayerDesign(HEADS, BigBird(16, 40, 1, 9)), 1283),
    "few-groups": (LayerDesign(HEADS, SlidingWindow(500)), 1283),
    "global-rows": (LayerDesign(HEADS, GlobalWindow(100, 30), kind="bidirectional"), 1283),
    "fading-states": (LayerDesign(HEADS, GatedLinear(), position=NoPosition()), 1283),
    "states": (LayerDesign(HEADS, Linear(), position=NoPosition()), 1283),
    "states-both-ways": (
        LayerDesign(HEADS, Linear(), position=NoPosition(), kind="bidirectional"),
        1283,
    ),
}


@pytest.mark.parametrize(("layer", "length"), LONG.values(), ids=LONG)
def test_long_sequences_are_counted_as_they_are_run(layer: LayerDesign, length: int) -> None:
    """Pieces, groups and heads of which a count leaves some out, and kinds of scores."""
    design = Design(32, length, (layer,))
    grid = GridConfig(prefill=(length,), decode=(2,))
    assert_counted_as_run(design, grid, drawn(design.kind, 1, length))


def test_features_are_counted_as_they_are_run(design: Design) -> None:
    batch = Batch(torch.randn(2, 40, 5), torch.zeros(2, 40, dtype=torch.long))
    grid = GridConfig(prefill=(64,), decode=(64,))
    counted = memory_costs(design, VOCABULARY, 5, grid, batch)
    assert counted == measured_memory_costs(design, VOCABULARY, 5, grid, batch)


def test_without_a_batch_no_training_step_is_counted(design: Design) -> None:
    grid = GridConfig(prefill=(64,), decode=(64,))
    assert set(memory_costs(design, VOCABULARY, 0, grid, None)) == {"peak_prefill_bytes"}


def test_memory_is_the_same_in_every_count(design: Design) -> None:
    grid = GridConfig(prefill=(128,), decode=(64,))

    def count() -> dict[str, float]:
        return memory_costs(design, VOCABULARY, 0, grid, blank(4, 48))

    found = [count() for _ in range(3)]
    assert found[0] == found[1] == found[2]
    torch.set_num_threads(2)
    assert count() == found[0]


def test_counting_leaves_no_trace() -> None:
    """Neither in the tables that kernels keep, nor in the generator, nor in later runs."""
    design = Design(16, 256, (LayerDesign(Heads(2, 2, 8), BigBird(8, 1, 1, 1, 77)),))
    grid = GridConfig(prefill=(256,), decode=(64,))
    before = torch.random.get_rng_state()
    first = memory_costs(design, VOCABULARY, 0, grid, blank(2, 200))
    assert torch.equal(torch.random.get_rng_state(), before)
    logits = CausalLM(design, VOCABULARY)(torch.zeros(1, 200, dtype=torch.long))
    assert bool(logits.isfinite().all())
    assert memory_costs(design, VOCABULARY, 0, grid, blank(2, 200)) == first
    gc.collect()
    assert not any(type(found) is _StorageCounter for found in gc.get_objects())


def test_nothing_is_allocated_for_a_count() -> None:
    """Ten layers of 10,000 channels have 40 GB of weights, more than this test may have."""
    layer = LayerDesign(Heads(100, 100, 100))
    design = Design(10_000, 4096, (layer,) * 10)
    grid = GridConfig(prefill=(4096,), decode=(64,))
    found = memory_costs(design, VOCABULARY, 0, grid, blank(4, 64))
    weights = 4 * counts.parameters(design, VOCABULARY)
    assert found["peak_prefill_bytes"] > weights > 40e9
    assert found["peak_train_bytes"] > 4 * weights
    assert psutil.Process().memory_info().rss < 4e9


def test_memory_counts_weights_cache_gradients_and_moments(design: Design) -> None:
    grid = GridConfig(prefill=(128,), decode=(64,), batch=(2,))
    found = memory_costs(design, VOCABULARY, 0, grid, blank(4, 48))
    weights = 4 * counts.parameters(design, VOCABULARY)
    cache = counts.kv_cache_bytes(design, 128, "float32", batch=2)
    tokens = 2 * 128 * 8
    stream = 2 * 128 * design.width * 4
    assert found["peak_prefill_bytes"] >= weights + cache + tokens + stream
    logits = 4 * 48 * VOCABULARY * 4
    assert found["peak_train_bytes"] >= 3 * weights + logits


def test_the_largest_prefill_of_the_grid_counts(design: Design) -> None:
    of = [
        memory_costs(design, VOCABULARY, 0, grid, None)["peak_prefill_bytes"]
        for grid in (
            GridConfig(prefill=(32, 128, 64), decode=(64,), batch=(2, 4, 1)),
            GridConfig(prefill=(128,), decode=(64,), batch=(4,)),
            GridConfig(prefill=(128,), decode=(64,), batch=(2,)),
        )
    ]
    assert of[0] == of[1] > of[2]


def test_longer_training_sequences_need_more_memory(design: Design) -> None:
    with fake_run():
        peaks = [train_peak(fake_model(design, VOCABULARY), blank(4, n)) for n in (16, 32, 64)]
    assert peaks[0] < peaks[1] < peaks[2]


@pytest.mark.parametrize("count", range(6))
def test_few_passes_are_the_first_two_and_the_last(count: int) -> None:
    assert list(passes(range(count))) == list(range(count))
    with few_passes():
        assert list(passes(range(count))) == [
            *range(min(count, 2)),
            *range(max(2, count - 1), count),
        ]


def test_what_code_may_not_ask_of_fake_numbers_is_refused(design: Design) -> None:
    with fake_run():
        weight = fake_model(design, VOCABULARY).lm_head.weight
        with pytest.raises(AssertionError, match="yes or no"):
            weight.sum().item()


@pytest.mark.parametrize("seed", range(60))
def test_caches_have_the_bytes_that_are_counted(seed: int) -> None:
    rng = np.random.default_rng([seed, 9])
    design = random_design(rng)
    for context in (design.context, int(rng.integers(1, design.context + 1))):
        expected = counts.kv_cache_bytes(design, context, "float32", 3)
        assert allocated_cache_bytes(design, VOCABULARY, 3, context) == expected


def test_what_does_not_fit_is_said_in_a_sentence() -> None:
    peaks = {"peak_prefill_bytes": 2.0 * 2**30, "peak_train_bytes": 41.0 * 2**30}
    assert too_large(peaks, limit=23 * 2**30) == (
        "a training step needs 41 GiB, but this machine has 23 GiB; lower the task's `batch` or "
        "raise `training.accumulate`"
    )
    assert too_large(peaks, limit=41 * 2**30) is None
    assert too_large(peaks, workers=4, limit=4 * 2**30) == (
        "a training step needs 41 GiB, but each of 4 workers has 1 GiB; lower the task's `batch` "
        "or raise `training.accumulate`"
    )
    together = {"peak_prefill_bytes": 30.0 * 2**30}
    assert too_large({"peak_prefill_bytes": 15.0 * 2**30}, together, limit=23 * 2**30) == (
        "a prefill beside the reference needs 30 GiB, but this machine has 23 GiB; lower "
        "`measuring.prefill` or `measuring.batch`"
    )
    assert too_large({"peak_prefill_bytes": 2.0 * 2**30}, limit=2**29) == (
        "a prefill needs 2 GiB, but this machine has 512 MiB; lower `measuring.prefill` or "
        "`measuring.batch`"
    )


def test_between_train_steps_the_other_design_keeps_weights_and_moments() -> None:
    own = {"peak_train_bytes": 1000.0, "peak_prefill_bytes": 50.0, "parameters": 10.0}
    other = {"peak_train_bytes": 500.0, "peak_prefill_bytes": 70.0, "parameters": 20.0}
    found = measured_together(own, other)
    assert found == {"peak_train_bytes": 1000 + 12 * 20, "peak_prefill_bytes": 120.0}


def test_this_machine_has_room_for_a_small_design(design: Design) -> None:
    grid = GridConfig(prefill=(64,), decode=(64,))
    assert too_large(memory_costs(design, VOCABULARY, 0, grid, blank(2, 16))) is None
    assert too_large({"peak_train_bytes": 1e18}) is not None


TOTAL = psutil.virtual_memory().total
GROUPS: dict[str, tuple[str, dict[str, str], int]] = {
    "version 2": ("0::/a/b", {"a/b/memory.max": "1000"}, 1000),
    "version 2, the group above": (
        "0::/a/b",
        {"a/memory.max": "500", "a/b/memory.max": "max"},
        500,
    ),
    "a container's own mount": ("0::/docker/x", {"memory.max": "700"}, 700),
    "version 1": (
        "3:cpu:/a\n4:memory:/a/b\n0::/",
        {"memory/a/b/memory.limit_in_bytes": "900", "memory/memory.limit_in_bytes": f"{2**63}"},
        900,
    ),
    "no limit": ("0::/a", {"a/memory.max": "max"}, TOTAL),
    "more than there is": ("0::/", {"memory.max": f"{2**60}"}, TOTAL),
}


@pytest.mark.parametrize(("listed", "files", "limit"), GROUPS.values(), ids=GROUPS)
def test_a_control_group_limits_memory(
    tmp_path: Path, listed: str, files: dict[str, str], limit: int
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(listed + "\n")
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    assert memory_limit(tmp_path) == limit


def test_where_there_are_no_control_groups_all_memory_counts(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) == TOTAL


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_allocator_of_a_cuda_device_agrees_with_the_count() -> None:
    """Within a tenth, and the 512 bytes that each tensor is rounded up to."""
    design = Design(512, 4096, (LayerDesign(Heads(8, 8, 64)),) * 4)
    counted = prefill_peak(fake_model(design, VOCABULARY), 2, 4096)
    torch.mm(torch.eye(64, device="cuda"), torch.eye(64, device="cuda"))  # cuBLAS's workspace
    before = torch.cuda.memory_allocated("cuda")
    model = model_of(design, VOCABULARY).to("cuda")
    work = prefill_work(model, 2, 4096)
    measured = allocator_peak(work.run, "cuda") - before
    assert measured == pytest.approx(counted, rel=0.1, abs=512 * len(list(model.parameters())))

"""Predicted latency: equal to sums by hand, never better for more work, named as a prediction."""

import math
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from evaluator.calibration import kernel_samples, median_profile
from evaluator.device_profiles import PROFILES, Kernel, Level, Profile
from evaluator.grid import Cell, GridConfig
from evaluator.model import model_of
from evaluator.model_operations import forward_operations
from evaluator.operation import Pairs
from evaluator.roofline import (
    pairs_seconds,
    piece_launches,
    predicted_columns,
    predicted_names,
    predicted_seconds,
)
from evaluator.work import work_of
from search_space import (
    PRESETS,
    Design,
    Heads,
    LatentKV,
    LayerDesign,
    NoPosition,
    SlidingWindow,
    preset,
)
from search_space.counts import decode_flops, kv_cache_bytes, prefill_flops

ROUND = Profile("round", 1e9, 1e8, 1e-5, 4, "made up", exponentials=1e7)
PREFILL, DECODE = Cell("prefill", 64), Cell("decode", 64)
KINDS = ("decoder", "encoder", "encoder-decoder")
ALL = [(name, kind) for name, p in PRESETS.items() for kind in KINDS if kind in p.kinds]
VOCABULARY = 16


def built(name: str, kind: str = "decoder", **sizes: int) -> Design:
    usual = {"width": 32, "depth": 4, "context": 256, "heads": 4, "dim": 8}
    return preset(name, kind=kind, **usual | sizes)  # pyright: ignore[reportArgumentType]


def test_a_tiny_design_takes_what_a_sum_by_hand_takes():
    layer = LayerDesign(Heads(1, 1, 2), position=NoPosition())
    design = Design(8, 16, (layer,))
    weights = 8 * 2 + 2 * 8 * 2 + 2 * 8 + 3 * 8 * 32 + 16 * 8
    cache = 2 * 16 * 2
    passing = 2 * 8 + 3 * 7 * 8  # embedding, norms
    passing += 10 + 2 * 10 + 2 * 4 + 2 * 2 + 10 + 3 * 8  # q, k and v, cache, heads, o, residual
    passing += 2 * 40 + 5 * 32 + 40 + 3 * 8 + 24  # MLP, residual, logits
    launches = 1 + 3 * 6 + 3 + 2 + 1 + 1 + 1 + 2 + 2 + 1 + 1 + 1
    slow = replace(ROUND, flops=1e30, exponentials=1e30)  # nothing but bytes and launches counts
    expected = 4 * (weights + cache + passing) / 1e8 + launches * 1e-5
    assert predicted_seconds(design, Cell("decode", 16), 16, slow) == pytest.approx(expected)


def test_an_operation_takes_as_long_as_its_arithmetic_where_bytes_are_free():
    free = replace(ROUND, bandwidth=1e30, overhead_s=0.0, exponentials=1e30)
    design = built("mha")
    decode = decode_flops(design, 64, VOCABULARY)
    assert predicted_seconds(design, DECODE, VOCABULARY, free) * 1e9 == pytest.approx(decode)
    exact = replace(free, kernels={**free.kernels, "dense": Kernel(0)})
    prefill = prefill_flops(design, 64, VOCABULARY)
    assert predicted_seconds(design, PREFILL, VOCABULARY, exact) * 1e9 == pytest.approx(prefill)


@pytest.mark.parametrize(("name", "kind"), ALL)
@pytest.mark.parametrize("device", PROFILES)
def test_every_preset_of_every_kind_has_a_finite_prediction(name: str, kind: str, device: str):
    design, profile = built(name, kind), PROFILES[device]
    cells = [PREFILL, Cell("train_step", 64, 4), *([DECODE] if kind != "encoder" else [])]
    for cell in cells:
        seconds = predicted_seconds(design, cell, VOCABULARY, profile)
        assert 0 < seconds < math.inf


@pytest.mark.parametrize("device", PROFILES)
@pytest.mark.parametrize("cell", [PREFILL, DECODE, Cell("decode", 64, 8)])
def test_more_work_is_never_faster(device: str, cell: Cell):
    def seconds(design: Design, cell: Cell = cell) -> float:
        return predicted_seconds(design, cell, VOCABULARY, PROFILES[device])

    base = built("gqa")
    assert seconds(built("gqa", depth=5)) > seconds(base)
    assert seconds(base, replace(cell, length=128)) >= seconds(base)
    assert seconds(base, replace(cell, batch=16)) >= seconds(base)
    assert seconds(built("mqa")) <= seconds(base) <= seconds(built("mha"))
    layers = [replace(base.layers[0], pattern=SlidingWindow(w)) for w in (4, 16, 64)]
    windows = [seconds(replace(base, layers=(layer,) * 4)) for layer in layers]
    assert windows == sorted(windows)
    assert windows[-1] <= seconds(base)


@pytest.mark.parametrize("name", ["mha", "gqa", "mqa", "mla", "sliding-window", "sinks"])
def test_a_token_reads_all_that_is_cached(name: str):
    design = built(name)
    for batch in (1, 3):
        operations = forward_operations(design, Cell("decode", 64, batch), VOCABULARY)
        read = 4 * sum(operation.cached for operation in operations)
        assert read == kv_cache_bytes(design, 64, batch=batch)


def test_an_encoder_decoder_reads_the_sources_cache_as_well():
    design = built("gqa", "encoder-decoder")
    operations = forward_operations(design, DECODE, VOCABULARY)
    assert 4 * sum(op.cached for op in operations) == kv_cache_bytes(design, 64)


def test_layers_that_reuse_keys_read_them_again():
    design = built("cla")
    read = 4 * sum(op.cached for op in forward_operations(design, DECODE, VOCABULARY))
    assert read == 2 * kv_cache_bytes(design, 64)


def test_tied_weights_are_read_from_memory_once():
    tied, untied = built("albert"), built("mha")
    once, often = (
        sum(op.weights for op in forward_operations(design, DECODE, VOCABULARY))
        for design in (tied, untied)
    )
    head = VOCABULARY * 32
    assert 4 * (once - head) == often - head
    cached = replace(ROUND, caches=(Level(1e6, 1e9),))
    assert predicted_seconds(tied, DECODE, 16, cached) < predicted_seconds(
        untied, DECODE, 16, cached
    )


def test_a_kernel_computes_what_it_throws_away_and_no_more_than_all_pairs():
    pairs = Pairs("chunked", attended=100, most=1000, queries=10, flops=1)
    profile = replace(
        ROUND, exponentials=1e30, kernels={"chunked": Kernel(20, 0.5), "dense": Kernel(0)}
    )
    assert pairs_seconds(pairs, profile) == pytest.approx(2 * 300 / 1e9)
    mostly = replace(pairs, attended=900)  # a mask over all pairs is faster than chunks
    assert pairs_seconds(mostly, profile) == pytest.approx(1000 / 1e9)
    assert piece_launches(pairs, profile) == 0


def test_a_step_without_a_length_and_an_encoders_decoding_are_refused():
    with pytest.raises(ValueError, match="give the cell a length"):
        predicted_seconds(built("mha"), Cell("train_step"), VOCABULARY, ROUND)
    with pytest.raises(ValueError, match="decode decoders only"):
        predicted_seconds(built("mha", "encoder"), DECODE, VOCABULARY, ROUND)


def test_columns_say_that_they_are_predicted():
    grid = GridConfig(prefill=(64,), decode=(64,), batch=(1, 2), predict=("h100-sxm", "t4"))
    design, reference = built("gqa"), built("mha")
    columns = predicted_columns(design, reference, VOCABULARY, grid)
    assert list(columns) == predicted_names(grid, "decoder")
    assert columns["predicted_h100_sxm_decode_2x64_ratio"] <= 1
    same = predicted_columns(reference, reference, VOCABULARY, grid)
    assert {x for name, x in same.items() if name.endswith("_ratio")} == {1.0}
    assert predicted_names(grid, "encoder") == [
        f"predicted_{device}_prefill_{cell}_{what}"
        for device in ("h100_sxm", "t4")
        for cell in ("64", "2x64")
        for what in ("ratio", "ms")
    ]
    assert predicted_columns(design, reference, VOCABULARY, GridConfig()) == {}


class Launches(TorchDispatchMode):
    """Counts what torch dispatches and what is no view."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # pyright: ignore
        view = func.is_view or func.overloadpacket.__name__ == "_unsafe_view"
        self.count += not view
        return func(*args, **(kwargs or {}))


# Cut into chunks or pieces, whole sequences launch more than is counted; so these only decode.
WHOLE = ("mha", "gqa", "mqa", "mla", "cla", "albert", "nope-hybrid", "linear-hybrid", "sinks")


@pytest.mark.parametrize("name", WHOLE)
def test_launches_are_those_that_torch_dispatches(name: str):
    design = built(name)
    pieces = name in ("linear-hybrid", "sinks")
    for cell in (DECODE,) if pieces else (PREFILL, DECODE):
        work = work_of(model_of(design, VOCABULARY), cell, None)
        work.run()
        with torch.no_grad(), Launches() as launches:
            work.run()
        counted = sum(op.launches for op in forward_operations(design, cell, VOCABULARY))
        assert counted == pytest.approx(launches.count, rel=0.02)


def test_latents_need_no_keys_formed_to_decode():
    design = built("mla")
    sharing = design.layers[0].sharing
    assert isinstance(sharing, LatentKV)
    names = [op.name for op in forward_operations(design, DECODE, VOCABULARY)]
    assert "up" not in names
    assert names.count("absorb") == 4


def test_an_encoder_counts_the_products_that_its_flops_count():
    free = replace(ROUND, bandwidth=1e30, overhead_s=0.0, exponentials=1e30)
    exact = replace(free, kernels={**free.kernels, "dense": Kernel(0)})
    for name in ("mha", "linformer"):
        design = built(name, "encoder")
        expected = prefill_flops(design, 64, VOCABULARY) + 63 * 2 * VOCABULARY * 32  # all logits
        seconds = predicted_seconds(design, PREFILL, VOCABULARY, exact)
        assert seconds * 1e9 == pytest.approx(expected)


def test_a_machine_measured_several_times_has_the_median_of_each_figure():
    several = [
        replace(ROUND, flops=flops, caches=(Level(1e6, rate),), kernels={"dense": Kernel(1, share)})
        for flops, rate, share in ((1e9, 3e9, 0.2), (3e9, 1e9, 0.9), (2e9, 2e9, 0.5))
    ]
    middle = median_profile(several)
    assert (middle.flops, middle.caches) == (2e9, (Level(1e6, 2e9),))
    assert middle.kernels == {"dense": Kernel(1, 0.5)}


def test_a_calibrations_kernels_run_and_are_of_the_families_that_need_one():
    samples = kernel_samples()
    assert {sample.family for sample in samples} == set(ROUND.kernels) - {"dense"}
    with torch.no_grad():
        assert all(sample.run() is not None for sample in samples)

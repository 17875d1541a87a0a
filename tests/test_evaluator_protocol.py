"""What processes measured is kept by key, put together honestly, and never measured twice."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from evaluator import GridConfig, RepeatConfig
from evaluator.costs import columns, counted_costs
from evaluator.device_lock import DeviceLock
from evaluator.fresh_process import FreshProcessError, measure_afresh
from evaluator.grid import TRAIN_STEP, Cell
from evaluator.latency import LEAST_PAIRS, PairedLatency
from evaluator.measuring import Subject, measure
from evaluator.model import CausalLM
from evaluator.protocol import Protocol
from evaluator.samples import PROCESS_SD, Kept, ProcessSample, figures, remarks, together
from evaluator.tasks import Batch
from evaluator.work import decode_work, prefill_work, train_work
from search_space import Dense, Design, Heads, LayerDesign, SlidingWindow, counts

QUICK = RepeatConfig(least=LEAST_PAIRS, most=LEAST_PAIRS, seconds=0.01)


@pytest.fixture
def design() -> Design:
    layer = LayerDesign(Heads(2, 1, 8), SlidingWindow(16))
    return Design(32, 128, (layer, LayerDesign(Heads(2, 2, 8), Dense())))


@pytest.fixture
def subject(design: Design) -> Subject:
    reference = Design(32, 128, (LayerDesign(Heads(2, 2, 8), Dense()),) * 2)
    zeros = torch.zeros(4, 48, dtype=torch.long)
    return Subject(design, reference, 20, 0, Batch(zeros, zeros))


def sampled(log_ratio: float, half: float = 0.02, settled: bool = True) -> PairedLatency:
    variance = (half / 2) ** 2
    return PairedLatency(log_ratio, variance, half, 0.01, 2.0, 4.0, 4, 16, 0, 0.03, settled, 0.0)


# The grid.


def test_a_grid_is_every_batch_at_every_length() -> None:
    grid = GridConfig(prefill=(128, 512), decode=(256,), batch=(1, 8))
    names = [cell.name for cell in grid.cells("decoder")]
    assert names == [
        *("prefill_128", "prefill_512", "prefill_8x128", "prefill_8x512"),
        *("decode_256", "decode_8x256", "train_step"),
    ]
    assert [cell.name for cell in grid.cells("encoder")] == [
        name for name in names if not name.startswith("decode")
    ]


def test_a_grid_may_leave_train_steps_out() -> None:
    assert TRAIN_STEP not in GridConfig(train_step=False).cells("decoder")


@pytest.mark.parametrize("field", ["prefill", "decode"])
def test_a_grid_without_lengths_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        GridConfig.model_validate({field: []})


def test_an_unknown_device_to_predict_for_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="did you mean h100-sxm"):
        GridConfig.model_validate({"predict": ["h100sxm"]})


def test_the_counted_costs_are_those_of_the_longest_cells_and_the_largest_batch(
    design: Design,
) -> None:
    grid = GridConfig(prefill=(16, 64), decode=(100, 8), batch=(1, 3))
    cache = counts.kv_cache_bytes(design, 100, "float32", 3)
    assert counted_costs(design, 20, grid) == {
        "parameters": counts.parameters(design, 20),
        "kv_cache_bytes": cache,
        "deployed_bytes": 4 * counts.parameters(design, 20) + cache,
        "prefill_flops": counts.prefill_flops(design, 64, 20),
        "decode_flops": counts.decode_flops(design, 100, 20),
    }


# The work of a cell.


def test_timed_work_is_the_same_each_time(design: Design) -> None:
    """Caches go back to where they were, so that the hundredth call does what the first did."""
    model = CausalLM(design, 20)
    for work in (prefill_work(model, 2, 40), decode_work(model, 2, 40)):
        before = [tensor.clone() for tensor in work.held]
        work.run()
        after = [tensor.clone() for tensor in work.held]
        work.run()
        assert all(torch.equal(a, b) for a, b in zip(after, work.held, strict=True))
        assert [t.shape for t in before] == [t.shape for t in work.held]
        assert not model.training


def test_decode_works_at_the_very_end_of_the_context(design: Design) -> None:
    work = decode_work(CausalLM(design, 20), 1, design.context)
    work.run()
    assert work.held[0].shape == (1, 1)


def test_a_timed_train_step_takes_the_optimizer_along_and_moves_no_weight(
    subject: Subject,
) -> None:
    model = CausalLM(subject.design, 20)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert subject.batch is not None
    work = train_work(model, subject.batch)
    for _ in range(3):
        work.run()
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert model.training


def test_energy_is_per_token_of_what_a_cell_takes_in(subject: Subject) -> None:
    assert subject.tokens(Cell("prefill", 64, 8)) == 512
    assert subject.tokens(Cell("decode", 64, 8)) == 8
    assert subject.tokens(TRAIN_STEP) == 4 * 48


# What several processes say together.


def test_one_process_has_the_spread_between_processes_in_its_interval() -> None:
    ratio, low, high = together([sampled(math.log(2.0), half=0.0)])
    assert ratio == pytest.approx(2)
    assert math.log(high / low) / 2 > 1.96 * PROCESS_SD


def test_three_processes_are_surer_than_one() -> None:
    one, three = (together([sampled(0.1)] * count) for count in (1, 3))
    assert three[0] == pytest.approx(one[0])
    assert three[2] - three[1] < 0.65 * (one[2] - one[1])


def test_processes_that_disagree_widen_the_interval() -> None:
    agreeing = together([sampled(x) for x in (0.1, 0.1, 0.1)])
    other = together([sampled(x) for x in (0.0, 0.1, 0.2)])
    assert other[2] - other[1] > 1.5 * (agreeing[2] - agreeing[1])


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_the_interval_over_processes_covers_the_truth(count: int) -> None:
    rng, covered, cases = np.random.default_rng(count), 0, 3000
    for _ in range(cases):
        logs = rng.normal(0, math.hypot(PROCESS_SD, 0.01), count)
        _, low, high = together([sampled(float(x)) for x in logs])
        covered += low <= 1 <= high
    assert 0.94 <= covered / cases <= 0.995


def test_figures_are_of_all_processes_that_measured_a_cell() -> None:
    cells = {"prefill_64": sampled(0.0), "decode_64": sampled(0.5)}
    samples = [
        ProcessSample("a:1", 1.0, {"prefill_64": sampled(0.2)}),
        ProcessSample("a:2", 2.0, cells, {"decode_64": 0.25}),
    ]
    found = figures(samples)
    assert found["prefill_64_ratio"] == pytest.approx(math.exp(0.1))
    assert found["prefill_64_processes"] == 2
    assert found["decode_64_processes"] == 1
    assert found["decode_64_ms"] == 2.0
    assert found["decode_64_joules_per_token"] == 0.25
    assert found["prefill_64_ratio_low"] < found["prefill_64_ratio"]


def test_a_coarse_look_says_nothing_beside_finer_ones() -> None:
    coarse = replace(sampled(0.7), tolerance=0.1)
    samples = [
        ProcessSample("a:1", 1.0, {"decode_64": coarse}),
        ProcessSample("a:2", 2.0, {"decode_64": sampled(0.5)}),
    ]
    found = figures(samples)
    assert found["decode_64_ratio"] == pytest.approx(math.exp(0.5))
    assert found["decode_64_processes"] == 1


def test_remarks_name_what_did_not_settle_and_what_drifted() -> None:
    slow = replace(sampled(0.0, settled=False), drift=0.25, disturbed=8)
    found = remarks([ProcessSample("a:1", 1.0, {"decode_64": slow})])
    assert found["decode_64"] == "did not settle within 3% in 16 pairs"
    assert "the reference slowed by 25% in decode_64" in found["drift"]
    assert "another process took the core in 50% of decode_64's pairs" in found["drift"]
    later = ProcessSample("a:2", 2.0, {"decode_64": sampled(0.0)})
    assert "decode_64" not in remarks([ProcessSample("a:1", 1.0, {"decode_64": slow}), later])


# Keeping.


def test_samples_are_kept_for_what_they_were_measured_of(tmp_path: Path) -> None:
    kept = Kept.under(tmp_path / "kept", "design", [1, 2])
    sample = ProcessSample("a:1", 5.0, {"decode_64": sampled(0.1)}, machine={"clock_mhz": 2600.0})
    kept.save(sample)
    kept.save(replace(sample, at=3.0))
    assert [one.at for one in kept.load()] == [3.0, 5.0]
    assert kept.load()[1] == sample
    assert Kept.under(tmp_path / "kept", "design", [1, 3]).load() == []


def test_a_sample_cut_short_counts_as_none(tmp_path: Path) -> None:
    kept = Kept.under(tmp_path, "design")
    kept.save(ProcessSample("a:1", 5.0, {"decode_64": sampled(0.1)}))
    (whole,) = tmp_path.glob("*/*.json")
    (whole.parent / "torn.json").write_text(whole.read_text()[:40])
    (whole.parent / "other.json").write_text(json.dumps({"cells": {}}))
    (whole.parent / "null.json").write_text("null")
    assert len(kept.load()) == 1


# Measuring.


@pytest.fixture
def protocol(tmp_path: Path) -> Protocol:
    grid = GridConfig(prefill=(32, 64), decode=(64,), repeat=QUICK, processes=2)
    lock = DeviceLock("cpu", tmp_path)
    return Protocol(grid, frozenset({"prefill_64"}), 1, "cpu", lock, tmp_path / "kept")


def test_a_trial_is_measured_once_and_another_seed_of_it_not_at_all(
    protocol: Protocol, subject: Subject
) -> None:
    first = protocol.measure(subject, thorough=False)
    measured = {name for name in first.metrics if name.endswith("_ratio")}
    assert measured == {"prefill_32_ratio", "prefill_64_ratio", "decode_64_ratio"}
    (sample,) = [ProcessSample.from_json(file.read_text()) for file in _files(protocol)]
    tolerances = {name: cell.tolerance for name, cell in sample.cells.items()}
    assert tolerances == {"prefill_64": 0.03, "prefill_32": 0.1, "decode_64": 0.1}
    assert first.metrics["measure_seconds"] > 0
    again = protocol.measure(subject, thorough=False)
    assert again.metrics == first.metrics | {"measure_seconds": 0}


def test_a_finalist_has_the_whole_grid_measured_in_fresh_processes(
    protocol: Protocol, subject: Subject
) -> None:
    protocol.measure(subject, thorough=False)
    found = protocol.measure(subject, thorough=True).metrics
    processes = {name: found[name] for name in found if name.endswith("_processes")}
    assert processes == {
        "prefill_64_processes": 2,  # what the trial itself saw picked it, and counts no more
        "prefill_32_processes": 2,
        "decode_64_processes": 2,
        "train_step_processes": 2,
    }
    kept = [ProcessSample.from_json(file.read_text()) for file in _files(protocol)]
    assert sorted(sample.fresh for sample in kept) == [False, True, True]
    here = f"{os.uname().nodename}:{os.getpid()}"
    assert [sample.process == here for sample in kept if not sample.fresh] == [True]
    assert len({sample.process for sample in kept}) == 3
    assert protocol.measure(subject, thorough=True).metrics["measure_seconds"] == 0


def _files(protocol: Protocol) -> list[Path]:
    assert protocol.kept is not None
    return list(protocol.kept.glob("*/*.json"))


def test_another_training_batch_is_measured_anew(protocol: Protocol, subject: Subject) -> None:
    protocol.measure(subject, thorough=False)
    zeros = torch.zeros(8, 48, dtype=torch.long)
    other = protocol.measure(replace(subject, batch=Batch(zeros, zeros)), thorough=False)
    assert other.metrics["measure_seconds"] > 0


def test_every_cell_has_the_columns_that_were_announced(
    protocol: Protocol, subject: Subject, tmp_path: Path
) -> None:
    cells = dict.fromkeys(protocol.grid.cells("decoder"), QUICK)
    kept: list[ProcessSample] = []
    measure(subject, lambda: cells, "cpu", DeviceLock("cpu", tmp_path), kept.append)
    found = figures(kept)
    assert {name for name in found if not name.endswith("_processes")} <= set(
        columns(protocol.grid)
    )
    for cell in protocol.grid.cells("decoder"):
        low, ratio, high = (found[f"{cell.name}_ratio{end}"] for end in ("_low", "", "_high"))
        assert 0 < low < ratio < high


def test_a_measuring_process_that_dies_is_a_remark_and_the_rest_is_measured(
    protocol: Protocol, subject: Subject
) -> None:
    broken = replace(subject, vocabulary=-1)
    with pytest.raises(FreshProcessError, match=r"\w+"):
        measure_afresh(broken, [Cell("prefill", 64)], QUICK, "cpu", 1)
    protocol.threads = -1  # which no process can have
    found = protocol.measure(subject, thorough=True)
    assert "a measuring process gave no answer" in found.notes["processes"]
    assert found.metrics["train_step_processes"] == 1

"""What only a GPU can show: events, graphs, and that a model is as fast as itself."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from evaluator import RepeatConfig
from evaluator.device_lock import DeviceLock
from evaluator.grid import Cell
from evaluator.measuring import Subject, measure
from evaluator.timers import CudaTimer, HostTimer, timer_of
from search_space import preset


def test_a_device_has_the_timer_that_suits_it() -> None:
    assert isinstance(timer_of("cpu"), HostTimer)
    assert isinstance(timer_of("cuda:0"), CudaTimer)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_is_as_fast_as_itself_on_a_gpu(tmp_path: Path) -> None:
    design = preset("gqa", width=256, depth=4, context=2048, heads=8, dim=32)
    subject = Subject(design, design, 256)
    cells = dict.fromkeys([Cell("prefill", 2048), Cell("decode", 2048)], RepeatConfig())
    lock = DeviceLock("cuda:0", tmp_path)
    sample = measure(subject, lambda: cells, "cuda:0", lock, keep=lambda _: None)
    for timed in sample.cells.values():
        assert abs(timed.log_ratio) < math.log(1.05)
    assert sample.allocated["prefill_2048"] > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_launch_bound_work_is_replayed_as_a_graph() -> None:
    numbers = torch.zeros(16, device="cuda")

    def many_small_ones() -> None:
        for _ in range(50):
            numbers.add_(1)

    timer = CudaTimer("cuda:0")
    runs = timer.ready(many_small_ones, many_small_ones)
    assert timer.graphs == 1
    before = float(numbers[0])
    runs[0]()
    torch.cuda.synchronize()
    assert float(numbers[0]) == before + 50

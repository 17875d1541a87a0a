"""Measuring: cells of the grid for one design in this process, alone on the device."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from evaluator.device_lock import DeviceLock
from evaluator.energy import energy_meter, energy_of_pair
from evaluator.grid import Cell
from evaluator.latency import Make, RepeatConfig, measure_pair
from evaluator.machine_state import StealTime, machine_state
from evaluator.model import model_of
from evaluator.peak_bytes import allocator_peak
from evaluator.samples import ProcessSample
from evaluator.tasks.interface import Batch
from evaluator.timers import Run, timer_of
from evaluator.work import work_of
from search_space import Design


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured, against what, and what both read."""

    design: Design
    reference: Design
    vocabulary: int
    channels: int = 0
    batch: Batch | None = None  # of a train step

    def tokens(self, cell: Cell) -> int:
        """Tokens that one call of a cell's work takes in."""
        if cell.phase == "train_step":
            assert self.batch is not None
            return self.batch.targets.numel()
        return cell.batch * (cell.length if cell.phase == "prefill" else 1)


def measure(
    subject: Subject,
    due: Callable[[], Mapping[Cell, RepeatConfig]],
    device: str,
    lock: DeviceLock,
    keep: Callable[[ProcessSample], object],
) -> ProcessSample:
    """Cells, each as often as it says, candidate and reference in turn, while nobody trains.

    What is due is asked once the device is ours, and kept while it is: whoever waited for it need
    not measure the same again.
    """
    timer, meter = timer_of(device), energy_meter(device)
    timed, energy, allocated = {}, {}, {}
    with lock.alone():
        started = time.perf_counter()
        stolen, machine = StealTime(), machine_state(device)
        for cell, repeat in due().items():
            makes = (
                _maker(subject, cell, device),
                _maker(replace(subject, design=subject.reference), cell, device),
            )
            timed[cell.name] = measure_pair(*makes, repeat, timer)
            if meter and (used := energy_of_pair(makes[0](), makes[1](), meter)):
                energy[cell.name] = used.joules / subject.tokens(cell)
            if device.startswith("cuda"):
                allocated[cell.name] = _allocated(makes[0], device)
        seconds = time.perf_counter() - started
        if (share := stolen.share()) is not None:
            machine["stolen"] = share
        if (clock := machine_state(device).get("clock_mhz")) is not None:
            machine["clock_mhz_after"] = clock
        process = f"{os.uname().nodename}:{os.getpid()}"
        sample = ProcessSample(process, time.time(), timed, energy, allocated, machine, seconds)
        if timed:
            keep(sample)
    return sample


def _maker(subject: Subject, cell: Cell, device: str) -> Make:
    """Builds the cell's work over a model of its own; which weights it has does not matter."""

    def make() -> Run:
        model = model_of(subject.design, subject.vocabulary, subject.channels).to(device)
        return work_of(model, cell, subject.batch).run

    return make


def _allocated(make: Make, device: str) -> int:
    """A GPU's peak bytes of the work with its model, over what was there before."""
    before = torch.cuda.memory_allocated(device)
    return allocator_peak(make(), device) - before

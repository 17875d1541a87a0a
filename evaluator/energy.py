"""Energy: joules of a piece of work from the machine's own counters, against a reference.

RAPL counts a processor's package (docs.kernel.org/power/powercap/powercap.html; AMD's processors
appear in the same tree), NVML a GPU (nvmlDeviceGetTotalEnergyConsumption, Volta and later). Both
count the whole device, so nothing else may run on it meanwhile, and both tick about every
millisecond or slower, so energy is taken over blocks of work.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import torch

from evaluator.machine_state import nvml_device

POWERCAP = Path("/sys/class/powercap")

# A block lasts at least so long: 300 ticks of RAPL, and 3 of NVML's slowest (100 ms).
BLOCK_SECONDS = 0.3
BLOCKS = 3  # of candidate and of reference each
MOST_CALLS = 1 << 16  # in a tenth of a block, at half a microsecond each

# Fewer joules in a block than this are some ten ticks of NVML (1 mJ) and many of RAPL (61 uJ).
LEAST_JOULES = 0.01


class EnergyMeter(Protocol):
    """A counter of what a device has used."""

    def joules(self) -> float:
        """Joules since some moment in the past; only differences mean something.

        Waits for all work that the device was given.
        """
        ...


@dataclass(frozen=True, slots=True)
class PairedEnergy:
    """Joules of one call of the candidate and of the reference, and their ratio."""

    joules: float
    reference_joules: float
    ratio: float
    low: float  # the smallest and the largest ratio that any two blocks give:
    high: float  # three of each are too few for an interval with a level


def energy_meter(device: str, root: Path = POWERCAP) -> EnergyMeter | None:
    """The meter of `cpu` or of `cuda:N`; none where nothing counts or we may not read it."""
    if device == "cpu":
        folders = _packages(root)
        return RaplMeter(folders) if folders else None
    return NvmlMeter.of(device) if device.startswith("cuda") else None


def _packages(root: Path) -> list[Path]:
    """Folders of the packages whose counters can be read."""
    found = []
    for folder in sorted(root.glob("intel-rapl:*")):
        try:
            if (folder / "name").read_text().startswith("package"):
                _count(folder)
                found.append(folder)
        except (OSError, ValueError):  # root alone may, on most systems (CVE-2020-8694)
            return []
    return found


class RaplMeter:
    """The packages of this machine together. Read it often: a counter begins anew within hours."""

    def __init__(self, packages: list[Path]) -> None:
        self._last = {folder: _count(folder) for folder in packages}
        self._ranges = {
            folder: int((folder / "max_energy_range_uj").read_text()) + 1 for folder in packages
        }
        self._total = 0  # microjoules

    def joules(self) -> float:
        for folder, last in self._last.items():
            count = _count(folder)
            self._total += (count - last) % self._ranges[folder]
            self._last[folder] = count
        return self._total / 1e6


def _count(folder: Path) -> int:
    """Microjoules."""
    return int((folder / "energy_uj").read_text())


class NvmlMeter:
    """One CUDA device."""

    def __init__(self, nvml: Any, handle: Any, device: str) -> None:
        self._nvml, self._handle, self._device = nvml, handle, device

    @classmethod
    def of(cls, device: str) -> NvmlMeter | None:
        """None without NVIDIA's driver, its Python package, or such a counter."""
        if (found := nvml_device(device)) is None:
            return None
        meter = cls(*found, device)
        try:
            meter.joules()
        except found[0].NVMLError:
            return None
        return meter

    def joules(self) -> float:
        torch.cuda.synchronize(self._device)
        return self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1e3


def energy_of_pair(
    candidate: Callable[[], object],
    reference: Callable[[], object],
    meter: EnergyMeter,
    clock: Callable[[], float] = time.perf_counter,
) -> PairedEnergy | None:
    """Blocks of both in turn, the medians of each; none where a block hardly moves the counter."""
    works = (candidate, reference)
    calls = [_calls_of_block(work, meter, clock) for work in works]
    joules: tuple[list[float], list[float]] = ([], [])
    for _ in range(BLOCKS):
        for work, count, found in zip(works, calls, joules, strict=True):
            spent = _block(work, count, meter)
            if spent < LEAST_JOULES:
                return None
            found.append(spent / count)
    ratios = [joules[0][i] / joules[1][j] for i in range(BLOCKS) for j in range(BLOCKS)]
    of_candidate, of_reference = (median(found) for found in joules)
    return PairedEnergy(
        of_candidate, of_reference, of_candidate / of_reference, min(ratios), max(ratios)
    )


def _calls_of_block(
    work: Callable[[], object], meter: EnergyMeter, clock: Callable[[], float]
) -> int:
    """Calls that take BLOCK_SECONDS, from as many as take a tenth of it; the first one warms up."""
    _block(work, 1, meter)
    count = 1
    while True:
        begun = clock()
        _block(work, count, meter)
        lasted = clock() - begun
        if lasted >= BLOCK_SECONDS / 10 or count >= MOST_CALLS:
            return math.ceil(count * max(1.0, BLOCK_SECONDS / max(lasted, 1e-9)))
        count *= 2


def _block(work: Callable[[], object], calls: int, meter: EnergyMeter) -> float:
    """Joules of so many calls."""
    before = meter.joules()
    for _ in range(calls):
        work()
    return meter.joules() - before

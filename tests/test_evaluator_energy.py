"""Energy is read from counters, in turn for candidate and reference, or there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evaluator.energy import (
    BLOCK_SECONDS,
    BLOCKS,
    EnergyMeter,
    energy_meter,
    energy_of_pair,
)
from evaluator.machine_state import StealTime, machine_state

MOST = 262_143_328_850  # microjoules after which a package's counter begins anew, as one has


class Package:
    """A package's files as Linux lays them out; work and time move its counter."""

    def __init__(self, root: Path, number: int = 0, start: int = 1000) -> None:
        self.folder = root / f"intel-rapl:{number}"
        (self.folder / f"intel-rapl:{number}:0").mkdir(parents=True)
        self._write("name", f"package-{number}")
        self._write("max_energy_range_uj", MOST)
        self._write(f"intel-rapl:{number}:0/name", "core")
        self._write(f"intel-rapl:{number}:0/energy_uj", 1)
        self.microjoules, self.now = start, 0.0
        self._write("energy_uj", start)

    def _write(self, name: str, value: object) -> None:
        (self.folder / name).write_text(f"{value}\n")

    def clock(self) -> float:
        return self.now

    def work(self, seconds: float, joules: float) -> Callable[[], None]:
        """What takes so long and so much; the counter goes on in steps of what it can tell."""

        def run() -> None:
            self.now += seconds
            self.microjoules = (self.microjoules + round(joules * 1e6)) % (MOST + 1)
            self._write("energy_uj", self.microjoules)

        return run


def meter_of(root: Path) -> EnergyMeter:
    meter = energy_meter("cpu", root)
    assert meter is not None
    return meter


def test_joules_of_a_call_and_their_ratio(tmp_path: Path) -> None:
    package = Package(tmp_path)
    found = energy_of_pair(
        package.work(0.02, 0.6), package.work(0.04, 0.3), meter_of(tmp_path), package.clock
    )
    assert found is not None
    assert found.joules == pytest.approx(0.6)
    assert found.reference_joules == pytest.approx(0.3)
    assert found.ratio == pytest.approx(2)
    assert found.low <= found.ratio <= found.high


def test_a_counter_that_begins_anew_loses_nothing(tmp_path: Path) -> None:
    package = Package(tmp_path, start=MOST - 1_000_000)
    found = energy_of_pair(
        package.work(0.02, 0.6), package.work(0.02, 0.3), meter_of(tmp_path), package.clock
    )
    assert package.microjoules < MOST - 1_000_000
    assert found is not None
    assert found.joules == pytest.approx(0.6)


def test_packages_add_up_and_parts_of_them_are_not_counted_twice(tmp_path: Path) -> None:
    first, second = Package(tmp_path, 0), Package(tmp_path, 1)
    meter = meter_of(tmp_path)
    before = meter.joules()
    first.work(0.01, 2.0)()
    second.work(0.01, 3.0)()
    assert meter.joules() - before == pytest.approx(5.0)


def test_the_whole_platform_is_no_package(tmp_path: Path) -> None:
    Package(tmp_path)
    platform = Package(tmp_path, 1)
    (platform.folder / "name").write_text("psys\n")
    meter = meter_of(tmp_path)
    before = meter.joules()
    platform.work(0.01, 3.0)()
    assert meter.joules() == before


def test_work_whose_energy_no_counter_tells_has_none(tmp_path: Path) -> None:
    """A counter that hardly moves in a block says nothing of one call."""
    package = Package(tmp_path)
    light = package.work(0.02, 1e-6)
    assert energy_of_pair(light, light, meter_of(tmp_path), package.clock) is None


def test_blocks_of_candidate_and_reference_alternate(tmp_path: Path) -> None:
    package, order = Package(tmp_path), list[str]()
    heavy = package.work(0.1, 1.0)

    def noted(name: str) -> Callable[[], None]:
        def run() -> None:
            order.append(name)
            heavy()

        return run

    energy_of_pair(noted("c"), noted("r"), meter_of(tmp_path), package.clock)
    blocks = order[4:]  # after two calls of each, to warm up and to see how long they take
    turns = [name for name, before in zip(blocks, ["", *blocks], strict=False) if name != before]
    assert turns == ["c", "r"] * BLOCKS
    assert blocks.count("c") * 0.1 >= BLOCKS * BLOCK_SECONDS


def test_a_machine_without_counters_has_no_meter(tmp_path: Path) -> None:
    assert energy_meter("cpu", tmp_path) is None
    assert energy_meter("cpu", tmp_path / "missing") is None
    assert energy_meter("tpu:0", tmp_path) is None


def test_counters_that_may_not_be_read_are_no_meter(tmp_path: Path) -> None:
    """Linux lets root alone read them since 2020; a folder in place of the file fails for all."""
    package = Package(tmp_path)
    (package.folder / "energy_uj").unlink()
    (package.folder / "energy_uj").mkdir()
    assert energy_meter("cpu", tmp_path) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_cuda_device_there_is_no_meter_of_it() -> None:
    assert energy_meter("cuda:0") is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_device_tells_twice_the_work_from_once() -> None:
    meter = energy_meter("cuda:0")
    if meter is None:
        pytest.skip("this device counts no energy")
    numbers = torch.randn(4096, 4096, device="cuda:0")

    def work(times: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(times):
                torch.mm(numbers, numbers)

        return run

    found = energy_of_pair(work(20), work(10), meter)
    assert found is not None
    assert 1.5 < found.ratio < 2.5
    assert found.joules > 0


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_state_of_a_processor(tmp_path: Path) -> None:
    write(tmp_path / "proc/cpuinfo", "model name\t: Some CPU\ncpu MHz\t\t: 2100.5\n")
    for cpu, khz in ((0, 3_000_000), (1, 2_000_000)):
        write(tmp_path / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", f"{khz}\n")
    write(tmp_path / "sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", "61000\n")
    write(tmp_path / "sys/class/thermal/thermal_zone1/type", "acpitz\n")
    write(tmp_path / "sys/class/thermal/thermal_zone1/temp", "20000\n")
    assert machine_state("cpu", tmp_path) == {
        "processor": "Some CPU",
        "clock_mhz": 2500.0,
        "temperature_c": 61.0,
    }


def test_where_no_clock_can_be_read_the_listed_one_counts(tmp_path: Path) -> None:
    write(tmp_path / "proc/cpuinfo", "cpu MHz\t\t: 2000.0\n\ncpu MHz\t\t: 3000.0\n")
    assert machine_state("cpu", tmp_path) == {"clock_mhz": 2500.0}


def test_hardware_monitors_tell_the_temperature_of_amd_processors(tmp_path: Path) -> None:
    write(tmp_path / "sys/class/hwmon/hwmon0/name", "nvme\n")
    write(tmp_path / "sys/class/hwmon/hwmon0/temp1_input", "80000\n")
    write(tmp_path / "sys/class/hwmon/hwmon1/name", "k10temp\n")
    write(tmp_path / "sys/class/hwmon/hwmon1/temp1_input", "55500\n")
    assert machine_state("cpu", tmp_path) == {"temperature_c": 55.5}


def test_what_cannot_be_read_is_absent(tmp_path: Path) -> None:
    assert machine_state("cpu", tmp_path) == {}
    write(tmp_path / "sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", "no number\n")
    assert machine_state("cpu", tmp_path) == {}
    assert machine_state("tpu:0", tmp_path) == {}


def test_this_machine_has_a_state() -> None:
    state = machine_state("cpu")
    assert all(isinstance(value, float | str) for value in state.values())
    assert set(state) <= {"processor", "clock_mhz", "temperature_c"}


def test_the_share_of_time_that_neighbours_took(tmp_path: Path) -> None:
    write(tmp_path / "proc/stat", "cpu  100 0 50 800 0 0 0 50 7 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    steal = StealTime(tmp_path)
    write(tmp_path / "proc/stat", "cpu  150 0 70 810 0 0 0 70 9 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    assert steal.share() == pytest.approx(20 / 100)
    assert steal.share() is None  # no time has passed since


def test_a_machine_without_neighbours_has_no_share(tmp_path: Path) -> None:
    assert StealTime(tmp_path).share() is None

"""Machine state: what tells that a device is not what it was: clock, temperature, neighbours.

Everything is absent where it cannot be read. A clock on CUDA is that of the multiprocessors.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

ROOT = Path("/")

# Names of sensors that sit in the processor: Intel's, AMD's, and those of common ARM boards.
THERMAL_ZONES = re.compile(r"x86_pkg_temp|cpu[-_]?thermal.*|soc[-_]?thermal.*")
HARDWARE_MONITORS = re.compile(r"coretemp|k10temp|zenpower|cpu_thermal")


def machine_state(device: str, root: Path = ROOT) -> dict[str, float | str]:
    """`processor`, `clock_mhz` and `temperature_c` of `cpu` or `cuda:N`; `root` has /proc, /sys."""
    if device == "cpu":
        found = {
            "processor": _processor(root),
            "clock_mhz": _clock_mhz(root),
            "temperature_c": _temperature(root),
        }
    else:
        found = _cuda_state(device) if device.startswith("cuda") else {}
    return {name: value for name, value in found.items() if value is not None}


def _processor(root: Path) -> str | None:
    """The model's name."""
    return next(iter(_listed(root, "model name")), None)


def _clock_mhz(root: Path) -> float | None:
    """Mean over the processors: as scaled right now, or else as listed."""
    cpus = root / "sys/devices/system/cpu"
    scaled = _numbers(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    clocks = [kilohertz / 1e3 for kilohertz in scaled]
    clocks = clocks or [float(text) for text in _listed(root, "cpu MHz")]
    return fmean(clocks) if clocks else None


def _temperature(root: Path) -> float | None:
    """Degrees Celsius of the hottest sensor in the processor."""
    sys = root / "sys/class"
    found = []
    for pattern, named, sensors, known in (
        ("thermal/thermal_zone*", "type", "temp", THERMAL_ZONES),
        ("hwmon/hwmon*", "name", "temp*_input", HARDWARE_MONITORS),
    ):
        for folder in sys.glob(pattern):
            if known.fullmatch(_text(folder / named)):
                found += _numbers(folder.glob(sensors))
    return max(found) / 1e3 if found else None


def _listed(root: Path, key: str) -> list[str]:
    """Values of a key in /proc/cpuinfo, one a processor."""
    lines = _text(root / "proc/cpuinfo").splitlines()
    pairs = (line.partition(":") for line in lines)
    return [value.strip() for name, _, value in pairs if name.strip() == key]


def _numbers(files: Iterable[Path]) -> Iterator[float]:
    """The number in each file that has one."""
    for file in files:
        try:
            yield float(_text(file))
        except ValueError:
            continue


def _text(file: Path) -> str:
    """What is in a file, nothing where it cannot be read: sensors fail in many ways."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


class StealTime:
    """The share of this machine's time that its host gave to other machines."""

    def __init__(self, root: Path = ROOT) -> None:
        self._file = root / "proc/stat"
        self._last = self._ticks()

    def share(self) -> float | None:
        """Since the last time that this was asked, 0 to 1; none if nobody counts or none passed."""
        last, now = self._last, self._ticks()
        self._last = now
        if last is None or now is None or now[1] <= last[1]:
            return None
        return (now[0] - last[0]) / (now[1] - last[1])

    def _ticks(self) -> tuple[int, int] | None:
        """Stolen and all: user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5)).

        What follows are guests, whose time is in user and nice already.
        """
        name, *ticks = _text(self._file).partition("\n")[0].split() or [""]
        if name != "cpu" or len(ticks) < 8:
            return None
        counted = [int(tick) for tick in ticks[:8]]
        return counted[7], sum(counted)


def _cuda_state(device: str) -> dict[str, Any]:
    found = nvml_device(device)
    if found is None:
        return {}
    nvml, handle = found
    asked = {
        "processor": lambda: nvml.nvmlDeviceGetName(handle),
        "clock_mhz": lambda: float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
        "temperature_c": lambda: float(
            nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
        ),
    }
    state: dict[str, Any] = {}
    for name, ask in asked.items():
        try:
            state[name] = ask()
        except nvml.NVMLError:
            continue
    return state


@functools.cache
def nvml_device(device: str) -> tuple[Any, Any] | None:
    """NVIDIA's management library and its handle of a CUDA device, if both are here.

    By the device's unique name, since CUDA counts those alone that CUDA_VISIBLE_DEVICES leaves.
    """
    try:
        import pynvml
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    try:
        pynvml.nvmlInit()
        unique = torch.cuda.get_device_properties(torch.device(device)).uuid
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{unique}")
    except (pynvml.NVMLError, AttributeError):
        return None

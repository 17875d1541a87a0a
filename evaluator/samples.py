"""Samples: what single processes measured of a design, kept by key, and what they say together.

A design's costs don't depend on its weights, so another seed of it is not measured again. Each
process leaves one file; figures are those of all files so far.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evaluator.checkpoint import StorageError
from evaluator.latency import DRIFT, PairedLatency, spread

# What a process adds to the log ratio beyond its layouts, before several were seen, and how many
# processes that belief counts for. Set by the first 200 processes of a run of
# benchmarks/same_or_different.py and checked with its other 200 (docs/measuring.md): decode steps
# are short and read memory all the time.
PROCESS_SD, PROCESS_SD_DECODE, PROCESS_DF = 0.005, 0.014, 8
BUSY = 0.3  # share of pairs with a context switch that is worth a remark
STOLEN = 0.05  # share of a virtual machine's time that its host gave to others, likewise


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """What one process measured of one design, at one time."""

    process: str  # host and number
    at: float  # unix seconds
    cells: dict[str, PairedLatency]
    energy: dict[str, float] = field(default_factory=dict)  # joules a token, by cell
    allocated: dict[str, int] = field(default_factory=dict)  # a GPU's peak bytes, by cell
    machine: dict[str, str | float] = field(default_factory=dict)  # what may drift
    seconds: float = 0.0  # that the device was held
    fresh: bool = False  # a process that did nothing else

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ProcessSample:
        """What `to_json` wrote; ValueError, TypeError or KeyError for anything else."""
        data = json.loads(text)
        cells = {name: PairedLatency(**cell) for name, cell in data.pop("cells").items()}
        return cls(cells=cells, **data)


@dataclass(frozen=True, slots=True)
class Kept:
    """The samples of one design under one protocol, in a folder of its own that all workers see.

    Without a folder they are kept here alone.
    """

    folder: Path | None
    _here: list[ProcessSample] = field(default_factory=list)

    @classmethod
    def under(cls, folder: Path | None, *what: Any) -> Kept:
        """Samples that agree in everything that a ratio depends on."""
        of = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]
        return cls(folder / of if folder else None)

    def load(self) -> list[ProcessSample]:
        """By time, whole ones only; a file cut short by a full disk counts as none."""
        found = list(self._here)
        for path in self.folder.glob("*.json") if self.folder else []:
            try:
                found.append(ProcessSample.from_json(path.read_text()))
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                continue
        return sorted(found, key=lambda sample: sample.at)

    def save(self, sample: ProcessSample) -> None:
        """Written beside and renamed; StorageError where the file system refuses."""
        if self.folder is None:
            self._here.append(sample)
            return
        name = secrets.token_hex(6)
        beside = self.folder / f".{name}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            beside.write_text(sample.to_json())
            os.replace(beside, self.folder / f"{name}.json")
        except OSError as error:
            raise StorageError.of(self.folder, error) from error


def figures(samples: Sequence[ProcessSample]) -> dict[str, float]:
    """The columns of every cell that any of the processes measured."""
    found: dict[str, float] = {}
    for name in dict.fromkeys(cell for sample in samples for cell in sample.cells):
        own = _best([sample for sample in samples if name in sample.cells], name)
        believed = PROCESS_SD_DECODE if name.startswith("decode") else PROCESS_SD
        ratio, low, high = together(own, believed)
        found |= {
            f"{name}_ratio": ratio,
            f"{name}_ratio_low": low,
            f"{name}_ratio_high": high,
            f"{name}_ms": statistics.median(cell.candidate_ms for cell in own),
            f"{name}_processes": len(own),
        }
        joules = [sample.energy[name] for sample in samples if name in sample.energy]
        if joules:
            found[f"{name}_joules_per_token"] = statistics.median(joules)
        if peaks := [sample.allocated[name] for sample in samples if name in sample.allocated]:
            found[f"{name}_allocated_bytes"] = max(peaks)
    return found


def _best(samples: list[ProcessSample], name: str) -> list[PairedLatency]:
    """Of fresh processes where there are some, else the finest.

    A design was picked for what its trial's own process saw, which was partly luck. A coarse look
    says nothing beside a finer one.
    """
    fresh = [sample for sample in samples if sample.fresh]
    cells = [sample.cells[name] for sample in fresh or samples]
    tolerance = min(cell.tolerance for cell in cells)
    return [cell for cell in cells if cell.tolerance == tolerance]


def together(
    cells: Sequence[PairedLatency], process_sd: float = PROCESS_SD
) -> tuple[float, float, float]:
    """The ratio over some processes with its 95% interval.

    What processes differ by beyond their layouts is believed to be `process_sd`, a standard
    deviation of the log ratio, until they show more.
    """
    logs, count = [cell.log_ratio for cell in cells], len(cells)
    if count == 1:
        _, beyond = spread(0.0, 0, process_sd**2, PROCESS_DF, 1)
        half = math.hypot(cells[0].half, beyond)
    else:
        believed = process_sd**2 + statistics.fmean(cell.variance for cell in cells)
        _, half = spread(statistics.variance(logs), count - 1, believed, PROCESS_DF, count)
    centre = statistics.fmean(logs)
    return math.exp(centre), math.exp(centre - half), math.exp(centre + half)


def remarks(samples: Iterable[ProcessSample]) -> dict[str, str]:
    """What a reader of the figures should know: what did not settle, what drifted."""
    found: dict[str, str] = {}
    drifts: list[str] = []
    for sample in samples:
        drifts += _of_machine(sample.machine)
        for name, cell in sample.cells.items():
            if not cell.settled:
                found[name] = f"did not settle within {cell.tolerance:.0%} in {cell.pairs} pairs"
            else:
                found.pop(name, None)  # a later process settled
            if abs(cell.drift) > DRIFT:
                way = "slowed" if cell.drift > 0 else "sped up"
                drifts.append(f"the reference {way} by {abs(cell.drift):.0%} in {name}")
            if cell.disturbed > BUSY * cell.pairs:
                share = cell.disturbed / cell.pairs
                drifts.append(f"another process took the core in {share:.0%} of {name}'s pairs")
    if drifts:
        found["drift"] = "; ".join(drifts)
    return found


def _of_machine(machine: Mapping[str, str | float]) -> list[str]:
    """What changed around the measurement: the host's other guests, and the clock."""
    found = []
    stolen = float(machine.get("stolen", 0.0))
    if stolen > STOLEN:
        found.append(f"the host gave {stolen:.0%} of the machine's time to others")
    before, after = (float(machine.get(f"clock_mhz{when}", 0)) for when in ("", "_after"))
    if before and abs(after / before - 1) > DRIFT:
        found.append(f"the clock went from {before:,.0f} to {after:,.0f} MHz")
    return found


def machine_in_words(samples: Sequence[ProcessSample]) -> str | None:
    """The machine of the last sample, such as `Xeon, 2,600 MHz, 61 degrees C`."""
    machine = samples[-1].machine if samples else {}
    parts = [str(machine["processor"])] if "processor" in machine else []
    if "clock_mhz" in machine:
        parts.append(f"{float(machine['clock_mhz']):,.0f} MHz")
    if "temperature_c" in machine:
        parts.append(f"{float(machine['temperature_c']):.0f} degrees C")
    return ", ".join(parts) or None

"""measure: the measuring protocol on presets, design files and trials of runs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import torch

from attnas.commands.measured_table import Result, print_measured, processes
from attnas.failures import UsageError
from controller.candidates import Candidate
from controller.config import RunConfig
from controller.run import read_task
from controller.subjects import Subjects, subjects
from evaluator import Task
from evaluator.calibration import profile_of_this_machine
from evaluator.costs import counted_costs
from evaluator.device_lock import DeviceLock
from evaluator.device_profiles import PROFILES, Profile
from evaluator.grid import Cell
from evaluator.machine_state import machine_state
from evaluator.measuring import Subject
from evaluator.memory import measured_together, memory_costs, too_large
from evaluator.protocol import Protocol
from evaluator.roofline import predicted_seconds
from evaluator.settings import with_settings
from evaluator.training import pieces_of
from search_space import in_words
from search_space.validation import closest


def measure_designs(
    what: list[str], config: Path | None, device: str | None, overrides: list[str], as_json: bool
) -> None:
    """Measure here, or predict for a device that is not here; a table or JSON."""
    where = _here(device)
    found = subjects(what, config, overrides)
    torch.set_num_threads(found.config.threads)
    profile = _profile(device, found.config)
    task = Task.of(found.config.task, read_task(found.config))
    results = [
        _result(name, candidate, found, task, profile, where)
        for name, candidate in found.candidates.items()
    ]
    if as_json:
        print(json.dumps(_plain(results, found, profile, where), indent=2))
    else:
        print_measured(results, found, profile, where)


def _here(device: str | None) -> str | None:
    """The device to measure on, None for one that is not here; UsageError for one that is none."""
    if device in (None, "cpu"):
        return "cpu"
    if device in PROFILES:
        return None
    assert device is not None
    if match := re.fullmatch(r"cuda(?::(\d+))?", device):
        number, count = int(match[1] or 0), torch.cuda.device_count()
        if number >= count:
            raise UsageError(
                f"there is no CUDA device {number} here to measure on; for a prediction give one "
                f"of {', '.join(PROFILES)}"
            )
        return f"cuda:{number}"
    near = closest(device, list(PROFILES))
    hint = f"did you mean {near}?" if near else f"profiles are {', '.join(PROFILES)}"
    raise UsageError(f"--device is cpu, cuda, cuda:N or a device's profile; {hint}")


def _profile(device: str | None, config: RunConfig) -> Profile | None:
    """The device's profile, that of this machine where it was named, or none."""
    if device is None:
        return None
    if device in PROFILES:
        return PROFILES[device]
    if device == "cpu":
        return profile_of_this_machine(config.threads)
    words = set(re.findall(r"[a-z]*\d+[a-z]*", torch.cuda.get_device_name(device).lower()))
    named = (p for p in PROFILES.values() if set(re.findall(r"[a-z]*\d+[a-z]*", p.name)) <= words)
    return next(named, None)


def _result(
    name: str,
    candidate: Candidate,
    found: Subjects,
    task: Task,
    profile: Profile | None,
    where: str | None,
) -> Result:
    """Counts and peaks, measured cells if the device is here, predictions if it was named."""
    grid, design, reference = found.config.measuring, candidate.design, found.reference
    training, task = with_settings(found.config.training, task, dict(candidate.settings))
    batch = pieces_of(task.largest_batch(), training.accumulate)[0]
    sizes = task.vocabulary, task.channels
    result = Result(name, design)
    result.metrics |= counted_costs(design, sizes[0], grid, sizes[1])
    result.metrics |= memory_costs(design, *sizes, grid, batch)
    if where is not None:
        other = counted_costs(reference, sizes[0], grid, sizes[1])
        other |= memory_costs(reference, *sizes, grid, batch)
        if reason := too_large(result.metrics, measured_together(result.metrics, other)):
            raise UsageError(f"{name} can't be measured here: {reason}")
        print(f"measuring {name} in {processes(grid.processes)}", file=sys.stderr)
        protocol = Protocol(grid, None, found.config.threads, where, DeviceLock(where))
        measured = protocol.measure(Subject(design, reference, *sizes, batch), thorough=True)
        result.metrics |= measured.metrics
        result.notes |= measured.notes
    if profile is not None:
        for cell in _predictable(found):
            own, beside = (
                predicted_seconds(d, cell, task.vocabulary, profile) for d in (design, reference)
            )
            result.predicted |= {f"{cell.name}_ratio": own / beside, f"{cell.name}_ms": 1e3 * own}
    return result


def _predictable(found: Subjects) -> list[Cell]:
    cells = found.config.measuring.cells(found.config.space.kind)
    return [cell for cell in cells if cell.phase != "train_step"]


def _plain(
    results: list[Result], found: Subjects, profile: Profile | None, where: str | None
) -> dict[str, Any]:
    return {
        "reference": json.loads(found.reference.to_json()),
        "device": None if where is None else {"name": where, **machine_state(where)},
        "profile": None if profile is None else {"name": profile.name, "source": profile.source},
        "measuring": found.config.measuring.model_dump(mode="json"),
        "designs": [
            {
                "name": result.name,
                "key": result.design.key,
                "words": in_words(result.design),
                "metrics": result.metrics,
                "predicted": result.predicted,
                "notes": result.notes,
            }
            for result in results
        ],
    }

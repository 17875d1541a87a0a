"""measure: the measuring protocol on presets, design files and trials of runs."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.table import Table

from attnas.commands.figures import cell as figure
from attnas.commands.figures import heading, wide_console
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
from results import Noise
from search_space import Design, in_words
from search_space.validation import closest


@dataclass(slots=True)
class Result:
    """What is known of one design."""

    name: str
    design: Design
    metrics: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    predicted: dict[str, float] = field(default_factory=dict)  # ratio and milliseconds by cell


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
        _print(results, found, profile, where)


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
        print(f"measuring {name} in {_processes(grid.processes)}", file=sys.stderr)
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


def _processes(count: int) -> str:
    """`1 process`, `3 processes`."""
    return "1 process" if count < 2 else f"{count} processes"


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


def _print(
    results: list[Result], found: Subjects, profile: Profile | None, where: str | None
) -> None:
    """One line per design, then what the figures mean and what went wrong with them."""
    config, here = found.config, where is not None
    console = wide_console()
    cells = [cell for cell in config.measuring.cells(config.space.kind) if _shown(cell, results)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("design", overflow="fold", min_width=14)
    for cell in cells:
        title = heading(f"{cell.name}_ratio")
        if here:
            table.add_column(title, justify="right", no_wrap=True)
            table.add_column("ms", justify="right", no_wrap=True)
        if profile and cell.phase != "train_step":
            table.add_column(f"{title} predicted", justify="right")
    for column in BYTES:
        table.add_column(heading(column), justify="right", no_wrap=True)
    for result in results:
        row = pd.Series(result.metrics)
        line = [f"{result.name}: {in_words(result.design)}"]
        for cell in cells:
            if here:
                line.append(figure(row, f"{cell.name}_ratio", Noise()))
                line.append(f"{result.metrics[f'{cell.name}_ms']:.3g}")
            if profile and cell.phase != "train_step":
                line.append(_prediction(cell, result, here))
        line += [figure(row, column, Noise()) if column in row else "-" for column in BYTES]
        table.add_row(*line)
    console.print(table)
    for line in _remarks(results, found, profile, where):
        console.print(line, soft_wrap=True, markup=False)


BYTES = ("kv_cache_bytes", "deployed_bytes", "peak_train_bytes")


def _shown(cell: Cell, results: list[Result]) -> bool:
    return any(f"{cell.name}_ratio" in r.metrics | r.predicted for r in results)


def _prediction(cell: Cell, result: Result, here: bool) -> str:
    """What the roofline says, and how far it was off where there is a measurement."""
    predicted = result.predicted[f"{cell.name}_ratio"]
    if not here:
        return f"{predicted:.3f} ({result.predicted[f'{cell.name}_ms']:.3g} ms)"
    return f"{predicted:.3f} ({predicted / result.metrics[f'{cell.name}_ratio'] - 1:+.0%})"


def _remarks(
    results: list[Result], found: Subjects, profile: Profile | None, where: str | None
) -> list[str]:
    """What the columns are, and what did not settle or drifted."""
    config, reference, lines = found.config, found.reference, []
    if where is not None:
        processor = machine_state(where).get("processor", where)
        lines.append(
            f"Ratios are to dense multi-head attention in {reference.depth} layers of width "
            f"{reference.width}, the two in turn, over {_processes(config.measuring.processes)}; "
            f"± is half a 95% interval; {processor}, {config.threads} thread(s), float32."
        )
    if profile is not None:
        what = "how far it is off the measurement" if where is not None else "milliseconds"
        lines.append(
            f"Predicted by a roofline for {profile.name} ({profile.source}), never measured; "
            f"in brackets {what}."
        )
    notes = ((r.name, subject, note) for r in results for subject, note in r.notes.items())
    return lines + [
        f"{name}: {note if subject in WHOLE else f'{subject} {note}'}"
        for name, subject, note in notes
        if subject != "machine"
    ]


WHOLE = ("drift", "processes")  # notes that are sentences by themselves
